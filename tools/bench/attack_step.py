"""A step of adversarial training against a plain PyTorch loop, on any backend.

PGD-10 on the batch, and an ordinary step on what it found, of VGG16 at a
quarter of its width, on one core: in `AdversarialModel`, dense and masked, and
written by hand in PyTorch, of the same network, dense, channels first.
"""

import functools

from tools.bench import frame
from tools.bench import networks
from tools.bench import plain_torch

PAIRS = 7, 3
BATCH_SIZE = 64
WIDTH = 0.25
STEPS = 10
MOST = {"tensorflow": 1.0, "jax": 1.5, "torch": 1.0}


def attacked(sparsity):
    """Ratios of the time of a step, ours over the loop's."""
    import keras_snn
    from keras_snn.attacks import PGD
    from keras_snn.attacks import AdversarialModel

    model = networks.vgg16(WIDTH)
    if sparsity:
        model = keras_snn.sparsify(model, sparsity)
    model = networks.compiled(AdversarialModel(model, PGD(steps=STEPS)))
    x, y = networks.samples((32, 32, 3), BATCH_SIZE)
    return frame.in_turn(
        lambda: model.train_on_batch(x, y),
        plain_torch.attacks(plain_torch.vgg16(WIDTH), x, y, STEPS),
        frame.pick(*PAIRS),
    )


def cases():
    """Dense, and masked."""
    import keras

    for sparsity, title in ((None, "dense"), (0.9, "masked")):
        yield frame.Case(
            f"PGD-10 step, VGG16, {title}",
            functools.partial(attacked, sparsity),
            peer="torch",
            goal=MOST[keras.backend.backend()],
        )
