import keras
import numpy as np
import pytest

from keras_snn.attacks import FGSM
from keras_snn.attacks import PGD


def test_formula(trained, images):
    x, y = images
    once = PGD(0.1, 0.1, steps=1, random_start=False)
    np.testing.assert_array_equal(FGSM(0.1)(trained, x, y), once(trained, x, y))


def test_random_start_goes_further(trained, images):
    x, y = images
    once = PGD(0.1, 0.125, steps=1, seed=3)(trained, x, y)
    attack = FGSM(0.1, random_start=True, seed=3)
    np.testing.assert_array_equal(attack(trained, x, y), once)
    again = FGSM.from_config(attack.get_config())
    assert repr(again) == "FGSM(eps=0.1, random_start=True, seed=3)"
    np.testing.assert_array_equal(again(trained, x, y), once)


def test_raises_the_loss(trained, images):
    x, y = images
    clean = trained.evaluate(x, y, verbose=0)[0]
    attacked = trained.evaluate(FGSM(0.02)(trained, x, y), y, verbose=0)[0]
    assert attacked > clean


def test_refuses_arguments():
    with pytest.raises(ValueError, match="`eps` must be"):
        FGSM(-0.1)
    with pytest.raises(ValueError, match="`norm` must be"):
        FGSM(norm="l0")
    with pytest.raises(TypeError):
        FGSM(0.1, "l2")
    assert FGSM(loss=keras.losses.get("mse")).get_config()["eps"] == 8 / 255
