"""Networks without half of their channels, against the networks whole."""

import functools

from tools.bench import frame
from tools.bench import networks

FRACTION = 0.5
BATCH_SIZE = 32
BATCHES = 2  # A round.
PAIRS = 7, 3
NETWORKS = ("ResNet18", "VGG16")


def pair(network, width):
    """A network and the smaller one, compiled."""
    import keras_snn

    whole = networks.NETWORKS[network](width)
    sparse = keras_snn.sparsify(networks.NETWORKS[network](width), 0.0)
    keras_snn.prune_channels(sparse, FRACTION)
    shrunk = keras_snn.strip(sparse, shrink=True)
    return networks.compiled(whole), networks.compiled(shrunk)


def flops_left(network, width):
    """The smaller network's FLOPs over those of the whole one: a list of it."""
    from keras_snn.flops import inference_flops

    whole, shrunk = pair(network, width)
    return [inference_flops(shrunk) / inference_flops(whole)]


def runs(model, what):
    """A function that trains on a round of batches, or predicts it."""
    if what == "fit":
        return networks.fits(model, BATCH_SIZE, BATCHES)
    x, _ = networks.samples(model.input_shape[1:], BATCHES * BATCH_SIZE)
    return lambda: model.predict(x, BATCH_SIZE, verbose=0)


def over_whole(network, width, what):
    """Ratios of the time, the smaller network over the whole one."""
    whole, shrunk = pair(network, width)
    return frame.in_turn(
        runs(shrunk, what), runs(whole, what), frame.pick(*PAIRS)
    )


def cases():
    """What is left of the FLOPs, and of the time of `predict` and `fit`."""
    width = frame.pick(1.0, 0.25)
    for network in NETWORKS:
        yield frame.Case(
            f"{network} of half the channels, FLOPs",
            functools.partial(flops_left, network, width),
            peer="keras",
            unit="FLOPs",
        )
        for what in ("predict", "fit"):
            yield frame.Case(
                f"{network} of half the channels, {what}",
                functools.partial(over_whole, network, width, what),
                peer="keras",
            )
