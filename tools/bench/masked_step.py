"""A training step of a masked network over one of the same network, dense.

Time: both train on the same batches of 32, in turn, at half their width, which
quarters weights and computation alike. Peak memory: each trains in a
process of its own, on batches of 8, so that weights matter; what the process
holds at its peak, once compiled, and how many bytes more that is for each
weight under a mask. The mask is one of them; what else the product of weights
and masks takes, the backend keeps for the backward pass.
"""

import functools
import json
import subprocess
import sys

from tools.bench import frame
from tools.bench import networks

PAIRS = 11, 3
SPARSITY = 0.9
MOST = 1.03  # Times the dense step.
BYTES = 1  # A weight.


def sides(network, width):
    """The dense network and the masked, compiled."""
    import keras_snn

    build = networks.NETWORKS[network]
    return (
        networks.compiled(build(width)),
        networks.compiled(keras_snn.sparsify(build(width), SPARSITY)),
    )


def step_time(network):
    """Ratios of the time of training, masked over dense."""
    width = frame.pick(0.5, 0.25)
    dense, masked = (
        networks.fits(model, batch_size=32, steps=4)
        for model in sides(network, width)
    )
    return frame.in_turn(masked, dense, frame.pick(*PAIRS))


def peak_memory(network):
    """Bytes a weight that training holds more, masked than dense, at most."""
    began = [
        subprocess.Popen(
            [sys.executable, "-m", __name__, network, side],
            stdout=subprocess.PIPE,
            text=True,
        )
        for side in ("dense", "masked")
    ]
    dense, masked = (
        json.loads(process.communicate()[0].splitlines()[-1])
        for process in began
    )
    return [
        (of_masked - of_dense) / masked["weights"]
        for of_masked, of_dense in zip(
            masked["peaks"], dense["peaks"], strict=True
        )
    ]


def cases():
    """Time and peak memory of each network."""
    for network in networks.NETWORKS:
        yield frame.Case(
            f"masked over dense step, {network}",
            functools.partial(step_time, network),
            peer="keras",
            goal=MOST,
        )
    for network in networks.NETWORKS:
        yield frame.Case(
            f"masked beside dense peak memory, {network}",
            functools.partial(peak_memory, network),
            peer="keras",
            goal=BYTES,
            unit="bytes a weight",
        )


def main(network, side):
    """Trains a network thrice, and prints its peaks in bytes, as JSON."""
    import numpy as np

    import keras_snn

    build = networks.NETWORKS[network]
    model = build(1.0)
    weights = 0
    if side == "masked":
        model = keras_snn.sparsify(model, SPARSITY)
        weights = sum(
            int(np.prod(masked.weight.shape))
            for masked in keras_snn.masked_weights(model).values()
        )
    train = networks.fits(networks.compiled(model), batch_size=8, steps=3)
    train()  # Compiles.
    peaks = [frame.peak_bytes(train) for _ in range(3)]
    print(json.dumps({"peaks": peaks, "weights": weights}))


if __name__ == "__main__":
    main(*sys.argv[1:])
