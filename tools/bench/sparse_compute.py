"""Layers that compute sparse, against dense ones and sparselab's.

    KERAS_BACKEND=jax python -m tools.bench.sparse_compute --threads 1

measures by itself any width, batch and sparsity, and prints dense over sparse:
above 1 sparse is faster. `make bench` has sparse over the other, as everywhere,
on one core.
"""

import argparse
import functools

from tools.bench import frame
from tools.bench import networks
from tools.bench import plain_torch
from tools.bench import results

# A round: enough that what a call of `fit` takes by itself is no part of it.
BATCHES = {"mlp": 32, "resnet18": 4, "vgg16": 4}
PAIRS = 7, 3
NETWORKS = {
    "mlp": networks.mlp,
    "resnet18": networks.resnet18,
    "vgg16": networks.vgg16,
}
DEFAULT_WIDTHS = {"mlp": 2048, "resnet18": 0.5, "vgg16": 0.5}
# How many times as fast as dense `fit` of the MLP of 2048 is to be.
FACTORS = {
    "tensorflow": {0.9: 2, 0.95: 3.8, 0.99: 7},
    "jax": {0.9: 3.5, 0.95: 6, 0.99: 20},
    "torch": {0.9: 3, 0.95: 5, 0.99: 11},
}
NETWORKS_FACTOR = 1.5  # At .9.


def sparse_model(network, width, sparsity):
    """A compiled network whose layers compute sparse."""
    import keras_snn

    return networks.compiled(
        keras_snn.sparsify(
            NETWORKS[network](width), sparsity, "uniform", compute="sparse"
        )
    )


def runs(model, network, batch_size):
    """Functions that train on a round of batches, and that predict it."""
    batches = frame.pick(BATCHES[network], 4)
    x, _ = networks.samples(model.input_shape[1:], batches * batch_size)
    return {
        "fit": networks.fits(model, batch_size, batches),
        "predict": lambda: model.predict(x, batch_size, verbose=0),
    }


def over_dense(network, width, sparsity, batch_size, what):
    """Ratios of the time, sparse over dense."""
    dense = networks.compiled(NETWORKS[network](width))
    sparse = sparse_model(network, width, sparsity)
    return frame.in_turn(
        runs(sparse, network, batch_size)[what],
        runs(dense, network, batch_size)[what],
        frame.pick(*PAIRS),
    )


def over_quick_dense(network, width, sparsity, batch_size):
    """Ratios of the time of `fit`, over dense with as little around layers."""
    from keras_snn.backend import quickly

    dense = networks.compiled(NETWORKS[network](width))
    train = runs(dense, network, batch_size)["fit"]

    def train_quickly():
        with quickly():
            train()

    sparse = sparse_model(network, width, sparsity)
    return frame.in_turn(
        runs(sparse, network, batch_size)["fit"],
        train_quickly,
        frame.pick(*PAIRS),
    )


def attacked(network, width, sparsity, batch_size):
    """Ratios of the time of a step of adversarial training, PGD-10."""
    from keras_snn.attacks import PGD
    from keras_snn.attacks import AdversarialModel

    def steps(model):
        robust = networks.compiled(AdversarialModel(model, PGD(steps=10)))
        x, y = networks.samples(model.input_shape[1:], batch_size)
        return lambda: robust.train_on_batch(x, y)

    return frame.in_turn(
        steps(sparse_model(network, width, sparsity)),
        steps(NETWORKS[network](width)),
        frame.pick(*PAIRS),
    )


def over_sparselab(width, sparsity, batch_size, what):
    """Ratios of the time of training, over a loop with sparselab's layers.

    By Keras's `fit`, or, of the layers alone, in the same loop.
    """
    import sparselab
    from torch import nn

    layers = []
    for inputs in (784, width, width):
        layers.append(sparselab.SparseLinear(inputs, width, sparsity=sparsity))
        layers.append(nn.ReLU())
    theirs = nn.Sequential(*layers, nn.Linear(width, networks.CLASSES))
    batches = frame.pick(BATCHES["mlp"], 4)
    x, y = networks.samples((784,), batches * batch_size)
    ours = sparse_model("mlp", width, sparsity)
    if what == "fit":
        train = runs(ours, "mlp", batch_size)["fit"]
    else:
        train = plain_torch.trains(ours, x, y, batch_size)
    return frame.in_turn(
        train,
        plain_torch.trains(theirs, x, y, batch_size),
        frame.pick(*PAIRS),
    )


def cases():
    """The MLP; on torch image networks and sparselab, too."""
    import keras

    backend = keras.backend.backend()
    full = not frame.quick()  # The goals are of these widths.
    width = 2048 if full else 1024
    for what in ("fit", "predict"):
        for sparsity, factor in FACTORS[backend].items():
            yield frame.Case(
                f"MLP of {width} at {sparsity}, {what}",
                functools.partial(
                    over_dense, "mlp", width, sparsity, 128, what
                ),
                peer="keras",
                goal=1 / factor if full and what == "fit" else None,
            )
    if backend != "torch":
        return
    for network, title in (("resnet18", "ResNet18"), ("vgg16", "VGG16")):
        width_of_images = 1.0 if full else 0.25
        yield frame.Case(
            f"{title} at 0.9, fit",
            functools.partial(
                over_dense, network, width_of_images, 0.9, 32, "fit"
            ),
            peer="keras",
            goal=1 / NETWORKS_FACTOR if full else None,
        )
        yield frame.Case(
            f"{title} of width 0.25 at 0.9, fit",
            functools.partial(over_dense, network, 0.25, 0.9, 64, "fit"),
            peer="keras",
            goal=1 / NETWORKS_FACTOR,
        )
        yield frame.Case(
            f"{title} of width 0.25 at 0.9, fit, dense called quickly, too",
            functools.partial(over_quick_dense, network, 0.25, 0.9, 64),
            peer="keras",
            goal=1 / NETWORKS_FACTOR,
        )
    for width_of_images, batch_size in ((0.25, 64), (0.5, 32)):
        yield frame.Case(
            f"VGG16 of width {width_of_images} at 0.9, PGD-10 step",
            functools.partial(
                attacked, "vgg16", width_of_images, 0.9, batch_size
            ),
            peer="keras",
            goal=1 / NETWORKS_FACTOR,
        )
    for sparsity in FACTORS[backend]:
        for what in ("fit", "in a plain loop"):
            yield frame.Case(
                f"MLP of {width} at {sparsity}, {what}",
                functools.partial(over_sparselab, width, sparsity, 128, what),
                peer="sparselab",
                goal=0.5 if full else None,
            )


def options():
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--width", type=float, nargs="*")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument(
        "--sparsity", type=float, nargs="*", default=[0.8, 0.9, 0.95, 0.99]
    )
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--network", default="mlp", choices=NETWORKS)
    return parser.parse_args()


def main():
    """Prints a line for each width, sparsity, and what is done."""
    chosen = options()
    frame.use_cores(chosen.threads)
    import keras

    network, batch_size = chosen.network, chosen.batch_size
    print(
        f"{keras.backend.backend()}, {chosen.threads} thread(s), batch "
        f"{batch_size}, dense over sparse: median (quartiles) of "
        f"{chosen.pairs} pairs"
    )
    for width in chosen.width or [DEFAULT_WIDTHS[network]]:
        dense = networks.compiled(NETWORKS[network](width))
        for sparsity in chosen.sparsity:
            sparse = sparse_model(network, width, sparsity)
            for what in ("fit", "predict"):
                of_dense = runs(dense, network, batch_size)[what]
                of_sparse = runs(sparse, network, batch_size)[what]
                ratios = frame.in_turn(of_dense, of_sparse, chosen.pairs)
                found = results.shown(frame.summarized(ratios))
                print(
                    f"{network} {width} {sparsity} {what}: {found}", flush=True
                )


if __name__ == "__main__":
    main()
