"""How objects show themselves."""

import numpy as np
import pytest

import keras_snn
from keras_snn import attacks
from keras_snn import hardness
from keras_snn import patterns
from keras_snn import schedules
from keras_snn.arithmetic.masks import Masks
from keras_snn.shown import elided

pytestmark = pytest.mark.once

ROWS = np.zeros((5, 2)), np.zeros(5)


@pytest.mark.parametrize(
    "instance, expected",
    [
        (keras_snn.SETUpdate(), "SETUpdate()"),
        (keras_snn.SETUpdate(2, end=0.5), "SETUpdate(interval=2, end=0.5)"),
        (
            keras_snn.RigLUpdate(ROWS, 7, pattern="1:2"),
            "RigLUpdate(interval=7, pattern=NM(n=1, m=2, axis=None))",
        ),
        (
            keras_snn.GMPUpdate(schedules.DuringTraining(0.9, end=0.5)),
            "GMPUpdate(schedule=DuringTraining(final_sparsity=0.9, end=0.5))",
        ),
        (
            schedules.ConstantSparsity(0.5, 10, frequency=5),
            "ConstantSparsity(target_sparsity=0.5, begin_step=10, frequency=5)",
        ),
        (keras_snn.LotteryTicket(epoch=2), "LotteryTicket(epoch=2)"),
        (
            keras_snn.OnceSparse(keras_snn.LotteryTicket(), 0.5),
            "OnceSparse(LotteryTicket(), sparsity=0.5)",
        ),
        (attacks.PGD(steps=20), "PGD(steps=20)"),
        (attacks.FGSM(0.5, norm="l2"), "FGSM(eps=0.5, norm='l2')"),
        (patterns.ConstantFanIn(), "ConstantFanIn(inputs=None)"),
        (
            hardness.ForgettingRecorder(*ROWS),
            "ForgettingRecorder(x=<array of shape (5, 2)>, "
            "y=<array of shape (5,)>)",
        ),
        (
            Masks(a=np.array([True, False]), b=np.ones((2, 3), bool)),
            "<Masks of 2 weights: 7 of 8 active, sparsity 0.125>",
        ),
    ],
)
def test_as_given(instance, expected):
    assert repr(instance) == expected


def test_a_callback_without_a_config_has_a_name():
    class Own(keras_snn.MaskUpdate):
        def __init__(self):
            super().__init__(keras_snn.Due(1))

    assert "Own object" in repr(Own())


def test_long_names_keep_their_ends():
    assert elided("conv1/kernel", 12) == "conv1/kernel"
    assert elided("block1/conv1/kernel", 12) == "bloc…/kernel"
    assert [len(elided("a" * 30, n)) for n in (2, 9, 29, 31)] == [2, 9, 29, 30]


def test_public_names_are_what_completion_offers():
    assert set(dir(keras_snn)) == {*keras_snn.__all__, "__version__"}


def test_a_misspelt_public_name_is_told_which_is_meant():
    for wrong, right in (("SetUpdate", "SETUpdate"), ("sparcify", "sparsify")):
        with pytest.raises(AttributeError, match=f"mean '{right}'"):
            getattr(keras_snn, wrong)
    with pytest.raises(AttributeError, match="no attribute 'zzz'$"):
        keras_snn.zzz  # noqa: B018
