"""How much faster sparse layers train and predict than dense ones.

    KERAS_BACKEND=jax python tools/benchmark_sparse_compute.py --threads 1

On as many threads and cores, for dense and sparse alike. Dense and sparse run
in turn, so that a machine whose speed drifts does not matter: what counts is
the median of the ratios of each pair, dense over sparse, so above 1 sparse is
faster.
"""

import argparse
import os
import statistics
import time

BATCHES = 4  # A round.


def settings():
    """The arguments; threads are set before anything is imported."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--width", type=float, nargs="*")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument(
        "--sparsity", type=float, nargs="*", default=[0.8, 0.9, 0.95, 0.99]
    )
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--network", default="mlp", choices=NETWORKS)
    options = parser.parse_args()
    for name in (
        "NUMBA_NUM_THREADS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
    ):
        os.environ[name] = str(options.threads)
    if hasattr(os, "sched_setaffinity"):  # XLA asks how many cores there are.
        cores = sorted(os.sched_getaffinity(0))[: options.threads]
        os.sched_setaffinity(0, cores)
    return options


def mlp(width, options):
    """784-width-width-width-10."""
    import keras

    sizes = 3 * [int(width)]
    return keras.Sequential(
        [
            keras.Input((784,)),
            *(keras.layers.Dense(size, activation="relu") for size in sizes),
            keras.layers.Dense(10),
        ]
    )


def image_network(name):
    """A network of `keras_snn.models` for images of 32x32."""

    def build(width, options):
        import keras_snn

        return getattr(keras_snn.models, name)((32, 32, 3), 10, width=width)

    return build


NETWORKS = {
    "mlp": mlp,
    "resnet18": image_network("resnet18"),
    "vgg16": image_network("vgg16"),
}


DEFAULT_WIDTHS = {"mlp": 2048, "resnet18": 0.5, "vgg16": 0.5}


def compiled(model):
    """The model, compiled for training, as fast as it can be."""
    import keras

    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def compare(dense, sparse, run, pairs):
    """The ratio of the times of each pair, and the median of the times.

    Args:
        dense: A model.
        sparse: Another.
        run: What to do with either; once more at first, to compile it.
        pairs: Int, how often.

    Returns:
        A line of text.
    """
    times = []
    for _ in range(pairs + 1):
        times.append([])
        for model in (dense, sparse):
            began = time.perf_counter()
            run(model)
            times[-1].append(time.perf_counter() - began)
    found = [of_dense / of_sparse for of_dense, of_sparse in times[1:]]
    of_dense, of_sparse = (
        1000 * statistics.median(pair[place] for pair in times[1:]) / BATCHES
        for place in (0, 1)
    )
    return (
        f"{statistics.median(found):.2f} ({min(found):.2f} to "
        f"{max(found):.2f}); {of_dense:.1f} and {of_sparse:.1f} ms a batch"
    )


def measure(options, width):
    """Prints a line for each sparsity and what is done at it."""
    import numpy as np

    import keras_snn

    build = NETWORKS[options.network]
    dense = compiled(build(width, options))
    rng = np.random.default_rng(0)
    samples = BATCHES * options.batch_size
    x = rng.random((samples, *dense.input_shape[1:]), "float32")
    y = rng.integers(0, 10, samples)
    arguments = {"batch_size": options.batch_size, "verbose": 0}
    runs = {
        "fit": lambda model: model.fit(x, y, **arguments),
        "predict": lambda model: model.predict(x, **arguments),
    }
    for sparsity in options.sparsity:
        sparse = keras_snn.sparsify(
            build(width, options), sparsity, "uniform", compute="sparse"
        )
        compiled(sparse)
        for what, run in runs.items():
            line = compare(dense, sparse, run, options.pairs)
            print(f"{options.network} {width} {sparsity} {what}: {line}")


def main():
    """Prints tables for one backend and one number of threads."""
    options = settings()
    import keras

    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(options.threads)
    print(
        f"{keras.backend.backend()}, {options.threads} thread(s), batch "
        f"{options.batch_size}, dense over sparse: median (least to most) of "
        f"{options.pairs} pairs; then the medians of either"
    )
    for width in options.width or [DEFAULT_WIDTHS[options.network]]:
        measure(options, width)


if __name__ == "__main__":
    main()
