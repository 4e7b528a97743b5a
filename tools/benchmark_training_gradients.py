"""What it costs to look at the gradients that training takes.

    KERAS_BACKEND=jax python tools/benchmark_training_gradients.py

An ordinary step, one whose gradients are noted and read, and one with dense
gradients taken on a batch before it, as `data` has it, in turn on the same
model and batch; what counts is the ratio to the ordinary step beside each. Then
whole rounds of `--every` steps of which one is noted.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from keras import layers

import keras_snn
from keras_snn.callbacks.bases.training_gradients import TrainingGradients
from keras_snn.gradients import dense_gradients
from keras_snn.masking.mask_state import masked_weights


def mlp():
    """784, 512, 512, 10, and images for it."""
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(512, activation="relu"),
            layers.Dense(512, activation="relu"),
            layers.Dense(10),
        ]
    )
    return model, (784,)


def resnet18():
    """ResNet18 of a quarter of its width, and images for it."""
    shape = 32, 32, 3
    return keras_snn.models.resnet18(shape, 10, width=0.25), shape


def seconds(function):
    """Seconds that a function takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def measure(make, options):
    """Prints the ratios for one network."""
    plain, shape = make()
    model = keras_snn.sparsify(plain, 0.9)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    rng = np.random.default_rng(0)
    x = rng.random((options.batch_size, *shape), "float32")
    y = rng.integers(0, 10, options.batch_size)
    model.train_on_batch(x, y)
    notes = TrainingGradients(model)

    def ordinary():
        model.train_on_batch(x, y)

    def noted():
        notes.note_next(model)
        model.train_on_batch(x, y)
        notes.read(model, 1)

    def on_data():
        dense_gradients(model, masked_weights(model), x, y)
        model.train_on_batch(x, y)

    def rounds(step):
        step()
        for _ in range(options.every - 1):
            ordinary()

    compared = {
        "a noted step": (noted, ordinary),
        "a step with gradients on data": (on_data, ordinary),
        f"one noted in {options.every}": (
            lambda: rounds(noted),
            lambda: rounds(ordinary),
        ),
    }
    for name, (step, beside) in compared.items():
        step(), beside()  # Compiles.
        ratios = [seconds(step) / seconds(beside) for _ in range(options.pairs)]
        print(
            f"{keras.backend.backend()}, {make.__name__}: {name} over an "
            f"ordinary one, median {statistics.median(ratios):.3f} of "
            f"{len(ratios)} pairs, from {min(ratios):.3f} to "
            f"{max(ratios):.3f}",
            flush=True,
        )


def main():
    """Measures both networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    for make in (mlp, resnet18):
        measure(make, options)


if __name__ == "__main__":
    main()
