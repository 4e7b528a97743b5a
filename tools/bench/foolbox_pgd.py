"""PGD of 20 steps, as it is evaluated with, against foolbox's.

Both begin at the image, so that they find the same, and both get the batch as
an array and give the attacked one back as an array.
"""

from tools.bench import frame
from tools.bench import networks

BATCH_SIZE = 64
PAIRS = 7, 3
EPS, STEP_SIZE, STEPS = 8 / 255, 2 / 255, 20


def of_foolbox(model):
    """A Keras model for foolbox, on this backend."""
    import foolbox
    import keras

    def logits(x):
        return model(x, training=False)

    if keras.backend.backend() == "torch":
        import torch

        class Module(torch.nn.Module):
            forward = staticmethod(logits)

        return foolbox.PyTorchModel(Module().eval(), bounds=(0, 1))
    kind = {"tensorflow": "TensorFlowModel", "jax": "JAXModel"}
    kind = getattr(foolbox, kind[keras.backend.backend()])
    return kind(logits, bounds=(0, 1))


def attacked():
    """Ratios of the time of an attack on a batch."""
    import foolbox
    import keras
    from keras import ops

    from keras_snn.attacks import PGD

    model = networks.compiled(networks.vgg16(0.25))
    x, y = networks.samples((32, 32, 3), BATCH_SIZE)
    ours = PGD(EPS, STEP_SIZE, STEPS, random_start=False)
    theirs = foolbox.attacks.LinfPGD(
        abs_stepsize=STEP_SIZE, steps=STEPS, random_start=False
    )
    kind = "int32" if keras.backend.backend() == "jax" else "int64"

    def of_theirs():
        classes = ops.convert_to_tensor(y, kind)
        images = ops.convert_to_tensor(x)
        found = theirs(of_foolbox(model), images, classes, epsilons=EPS)
        return ops.convert_to_numpy(found[1])

    return frame.in_turn(
        lambda: ours(model, x, y), of_theirs, frame.pick(*PAIRS)
    )


def cases():
    """One."""
    yield frame.Case("PGD-20, VGG16", attacked, peer="foolbox", goal=1)
