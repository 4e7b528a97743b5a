"""What a mask update of a large network costs: time, and memory beside it.

    taskset -c 0 python tools/benchmark_updates.py

ResNet50 of keras.applications, 25.5 million masked weights. Each update is
that of a method without what it computes on data: RigL's is given gradients.
Memory is what NumPy holds, at the peak of the update and after it.
"""

import argparse
import time
import tracemalloc

import keras
import numpy as np

import keras_snn
from keras_snn.masking.mask_state import masked_weights
from keras_snn.schedules import ConstantSparsity


class RigLOnGiven(keras_snn.RigLUpdate):
    """RigL whose gradients are there already."""

    def gradients(self, model, weights, step):
        """Random ones, drawn before the time is taken."""
        return self.given


def network(sparsity):
    """A sparse ResNet50."""
    dense = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3))
    return keras_snn.sparsify(dense, sparsity)


def updates(model, full):
    """The update of each method by name: a function of the step."""
    data = np.zeros((1, 32, 32, 3)), np.zeros(1)
    rigl = RigLOnGiven(data)
    rng = np.random.default_rng(0)
    rigl.given = {
        path: rng.normal(size=masked.weight.shape).astype("float32")
        for path, masked in masked_weights(model).items()
    }
    evolution = keras_snn.SETUpdate()
    gmp = keras_snn.GMPUpdate(ConstantSparsity(0.9, 0))
    return {
        "SET": lambda step: evolution.update(model, step, 0.0),
        "RigL": lambda step: rigl.update(model, step, 0.0),
        "GMP": lambda step: gmp.update(full, 0.2 * step),
    }


def main():
    """Prints a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    model = network(0.8)
    masked = masked_weights(model).values()
    size = sum(int(np.prod(m.weight.shape)) for m in masked)
    bytes_each = {m.mask_array().itemsize for m in masked}
    print(f"{size:,} masked weights, {bytes_each} byte(s) a mask value")
    for name, update in updates(model, network(0.0)).items():
        seconds = []
        for step in range(1, repeats + 1):
            began = time.perf_counter()
            update(step)
            seconds.append(time.perf_counter() - began)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        update(repeats + 1)
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(
            f"{name}: {min(seconds):.2f} to {max(seconds):.2f} s; "
            f"{(peak - before) / size:.1f} bytes a weight at the peak, "
            f"{(after - before) / size:.2f} after it"
        )


if __name__ == "__main__":
    main()
