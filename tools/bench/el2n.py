"""EL2N against the `predict` that it needs, of the same samples."""

from tools.bench import frame
from tools.bench import networks

PAIRS = 11, 3


def scored():
    """Ratios of the time, EL2N over `predict`."""
    from keras_snn import hardness

    model = networks.compiled(networks.resnet18(0.25))
    x, y = networks.samples((32, 32, 3), frame.pick(512, 256))
    return frame.in_turn(
        lambda: hardness.el2n(model, x, y, batch_size=128),
        lambda: model.predict(x, batch_size=128, verbose=0),
        frame.pick(*PAIRS),
    )


def cases():
    """One."""
    yield frame.Case("EL2N over predict, ResNet18", scored, peer="keras")
