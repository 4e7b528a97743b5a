"""A masked step against a loop in PyTorch that masks after each step.

VGG16 at half its width, batch 32. Beside it the same dense: what Keras takes
more than PyTorch alone is not ours.
"""

from tools.bench import frame
from tools.bench import networks
from tools.bench import plain_torch

BATCH_SIZE = 32
STEPS = 2
PAIRS = 11, 3
SPARSITY = 0.9


def trained(sparsity):
    """Ratios of an epoch, ours over the loop's; dense where no sparsity is."""
    import keras_snn

    width = frame.pick(0.5, 0.25)
    ours, theirs = networks.vgg16(width), plain_torch.vgg16(width)
    masks = None
    if sparsity:
        ours = keras_snn.sparsify(ours, sparsity)
        masks = plain_torch.random_masks(theirs, sparsity)
    x, y = networks.samples((32, 32, 3), BATCH_SIZE * STEPS)
    return frame.in_turn(
        networks.fits(networks.compiled(ours), BATCH_SIZE, STEPS),
        plain_torch.trains(theirs, x, y, BATCH_SIZE, masks),
        frame.pick(*PAIRS),
    )


def cases():
    """Masked, and dense."""
    yield frame.Case(
        "masked step, VGG16", lambda: trained(SPARSITY), peer="torch", goal=1
    )
    yield frame.Case(
        "the same dense: Keras itself", lambda: trained(None), peer="torch"
    )
