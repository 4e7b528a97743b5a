"""The step time of a masked over a dense ResNet18, on this backend.

    KERAS_BACKEND=jax python tools/benchmark_step.py

Both networks train on the same batch in turn, dense, masked, dense, masked;
what counts is the ratio of each pair, so that a machine whose speed drifts
does not matter.
"""

import argparse
import statistics
import time

import keras
import numpy as np

import keras_snn


def trainer(sparse, width):
    """A compiled ResNet18, dense or masked."""
    model = keras_snn.models.resnet18((32, 32, 3), 100, width=width)
    if sparse:
        model = keras_snn.sparsify(model, 0.9)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=5e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def step_seconds(model, x, y, steps):
    """Seconds for `steps` training steps."""
    began = time.perf_counter()
    model.fit(x, y, batch_size=len(x) // steps, epochs=1, verbose=0)
    return time.perf_counter() - began


def main():
    """Prints the ratio of each pair, and the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    images = options.batch_size * options.steps
    x = rng.random((images, 32, 32, 3), "float32")
    y = rng.integers(0, 100, images)
    dense, masked = (trainer(s, options.width) for s in (False, True))
    for model in (dense, masked):  # Compiles.
        step_seconds(model, x, y, options.steps)
    ratios, fastest = [], [float("inf"), float("inf")]
    for _ in range(options.pairs):
        of_dense = step_seconds(dense, x, y, options.steps)
        of_masked = step_seconds(masked, x, y, options.steps)
        ratios.append(of_masked / of_dense)
        fastest = [min(fastest[0], of_dense), min(fastest[1], of_masked)]
        print(
            f"dense {1000 * of_dense / options.steps:.0f} ms, "
            f"masked {1000 * of_masked / options.steps:.0f} ms a step, "
            f"ratio {ratios[-1]:.3f}",
            flush=True,
        )
    print(
        f"{keras.backend.backend()}: median ratio "
        f"{statistics.median(ratios):.3f} of {len(ratios)} pairs, from "
        f"{min(ratios):.3f} to {max(ratios):.3f}; of the fastest of each "
        f"{fastest[1] / fastest[0]:.3f}"
    )


if __name__ == "__main__":
    main()
