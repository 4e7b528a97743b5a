"""What a step of adversarial training costs over a plain PyTorch loop.

    KERAS_BACKEND=jax python tools/benchmark_adversarial.py

A step is PGD-10 on the batch and an ordinary step on what it found, of VGG16
at a quarter of its width: in `AdversarialModel`, dense and masked, and written
by hand in PyTorch, of the same network, channels first. They take turns on the
same batch; what counts is the ratio to the loop of the same round, so that a
machine whose speed drifts does not matter. All are bound to the same CPUs; on
one, it is their time on it that counts, not what passes meanwhile.
"""

import argparse
import os
import statistics
import time


def bind(cpus):
    """Leave this process so many CPUs, whatever library computes."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])
    for name in ("OMP", "MKL", "TF_INTRAOP", "TF_INTEROP"):
        name = name.replace("TF_", "TF_NUM_").replace("OMP", "OMP_NUM")
        os.environ[f"{name}_THREADS"] = str(cpus)


def plain_network(width):
    """The layers of `keras_snn.models.vgg16`, in PyTorch."""
    from torch import nn

    layers, channels = [], 3
    for filters, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            out = round(width * filters)
            layers.append(nn.Conv2d(channels, out, 3, padding=1))
            layers += [nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for _ in range(2):
        units = round(width * 512)
        layers += [nn.Linear(channels, units), nn.ReLU()]
        layers.append(nn.BatchNorm1d(units))
        channels = units
    return nn.Sequential(*layers, nn.Linear(channels, 10))


def plain_loop(options, x, y):
    """A function that takes one step with the network in PyTorch."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(options.cpus)
    network = plain_network(options.width)
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4
    )
    x = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    y = torch.from_numpy(y)
    eps, size = 8 / 255, 2 / 255

    def step():
        network.eval()
        change = torch.empty_like(x).uniform_(-eps, eps)
        images = (x + change).clamp(0, 1)
        for _ in range(options.attack_steps):
            images.requires_grad_()
            loss = cross_entropy(network(images), y)
            (gradient,) = torch.autograd.grad(loss, images)
            images = images.detach() + size * gradient.sign()
            images = x + (images - x).clamp(-eps, eps)
            images = images.clamp(0, 1)
        network.train()
        optimizer.zero_grad()
        loss = cross_entropy(network(images), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def trained(options, x, y, sparsity=None):
    """A function that takes one step with ours."""
    import keras

    import keras_snn
    from keras_snn.attacks import PGD
    from keras_snn.attacks import AdversarialModel

    model = keras_snn.models.vgg16((32, 32, 3), 10, width=options.width)
    if sparsity is not None:
        model = keras_snn.sparsify(model, sparsity)
    model = AdversarialModel(model, PGD(steps=options.attack_steps))
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=5e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda: model.train_on_batch(x, y)


def main():
    """Prints milliseconds and ratios, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--attack-steps", type=int, default=10)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cpus", type=int, default=1)
    options = parser.parse_args()
    bind(options.cpus)  # Before any library starts its threads.

    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.random((options.batch_size, 32, 32, 3), "float32")
    y = rng.integers(0, 10, options.batch_size)
    steps = {
        "PyTorch": plain_loop(options, x, y),
        "dense": trained(options, x, y),
        "masked": trained(options, x, y, options.sparsity),
    }
    for step in steps.values():  # Compiles.
        step(), step()
    clock = time.process_time if options.cpus == 1 else time.perf_counter
    ratios = {name: [] for name in steps}
    for _ in range(options.rounds):
        seconds = {}
        for name, step in steps.items():
            began = clock()
            step()
            seconds[name] = clock() - began
        for name in steps:
            ratios[name].append(seconds[name] / seconds["PyTorch"])
        print(
            ", ".join(
                f"{name} {1000 * seconds[name]:.0f} ms, {ratios[name][-1]:.2f}"
                for name in steps
            ),
            flush=True,
        )

    import keras

    for name in ("dense", "masked"):
        found = ratios[name]
        print(
            f"{keras.backend.backend()}, {name} over the loop: median "
            f"{statistics.median(found):.2f} of {len(found)} rounds, from "
            f"{min(found):.2f} to {max(found):.2f}"
        )


if __name__ == "__main__":
    main()
