"""Without a random start, attacks equal foolbox's on every backend."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_snn.attacks import FGSM
from keras_snn.attacks import PGD

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Please import `gaussian_filter`")
    import foolbox


def foolbox_model(model):
    def logits(x):
        return model(x, training=False)

    if keras.backend.backend() == "tensorflow":
        return foolbox.TensorFlowModel(logits, bounds=(0, 1))
    if keras.backend.backend() == "jax":
        return foolbox.JAXModel(logits, bounds=(0, 1))

    import torch

    class Module(torch.nn.Module):
        forward = staticmethod(logits)

    return foolbox.PyTorchModel(Module().eval(), bounds=(0, 1))


def run(attack, model, x, y, eps):
    narrow = keras.backend.backend() == "jax"
    y = ops.convert_to_tensor(y, "int32" if narrow else "int64")
    _, x_adv, _ = attack(
        foolbox_model(model), ops.convert_to_tensor(x), y, epsilons=eps
    )
    return ops.convert_to_numpy(x_adv)


@pytest.mark.parametrize("eps", [0.03, 0.2])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd(trained, images, norm, eps):
    x, y = images
    attack = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
    theirs = attack[norm](abs_stepsize=0.02, steps=10, random_start=False)
    ours = PGD(eps, 0.02, 10, norm=norm, random_start=False)
    np.testing.assert_allclose(
        ours(trained, x, y), run(theirs, trained, x, y, eps), atol=1e-6
    )


@pytest.mark.parametrize("eps", [0.03, 0.2])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fgsm(trained, images, norm, eps):
    x, y = images
    attack = {"linf": foolbox.attacks.FGSM, "l2": foolbox.attacks.FGM}
    np.testing.assert_allclose(
        FGSM(eps, norm=norm)(trained, x, y),
        run(attack[norm](), trained, x, y, eps),
        atol=1e-6,
    )


def test_random_start_is_as_strong(trained, images):
    x, y = images
    theirs = foolbox.attacks.LinfPGD(abs_stepsize=0.02, steps=10)
    x_theirs = run(theirs, trained, x, y, 0.08)
    x_ours = PGD(0.08, 0.02, 10)(trained, x, y)
    loss_theirs, _ = trained.evaluate(x_theirs, y, verbose=0)
    loss_ours, _ = trained.evaluate(x_ours, y, verbose=0)
    assert loss_ours == pytest.approx(loss_theirs, rel=0.01)
