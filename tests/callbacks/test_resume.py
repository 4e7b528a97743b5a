"""Resumes, with several steps an execution where the backend has them."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import ACDCUpdate
from keras_snn import GMPUpdate
from keras_snn import LotteryTicket
from keras_snn import MaskedLayer
from keras_snn import MovementLayer
from keras_snn import MovementUpdate
from keras_snn import SoftMovementLayer
from keras_snn import SoftMovementUpdate
from keras_snn import SRSTEUpdate
from keras_snn import StraightThroughLayer
from keras_snn import TopKASTUpdate
from keras_snn import get_masks
from keras_snn.masking.snapshot import restore
from keras_snn.masking.snapshot import snapshot
from keras_snn.schedules import DuringTraining
from keras_snn.schedules import PolynomialDecay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 8)).astype("float32")
Y = RNG.normal(size=(16, 4)).astype("float32")
EPOCHS, STEPS = 5, 8
BLOCK = 1 if keras.backend.backend() == "torch" else 4

METHODS = {
    "GMP": (
        MaskedLayer,
        lambda: GMPUpdate(DuringTraining(0.8, begin=0.1, end=0.7, interval=1)),
    ),
    "GMP in steps": (
        MaskedLayer,
        lambda: GMPUpdate(PolynomialDecay(0.1, 0.8, 3, 26, frequency=5)),
    ),
    "AC/DC": (MaskedLayer, lambda: ACDCUpdate(0.75, phases=[1, 3, 4])),
    "movement": (
        MovementLayer,
        lambda: MovementUpdate(PolynomialDecay(0.1, 0.7, 3, 14, frequency=3)),
    ),
    "soft movement": (
        SoftMovementLayer,
        lambda: SoftMovementUpdate(
            PolynomialDecay(0, 0.48, 3, 14, frequency=3), penalty=5
        ),
    ),
    "Top-KAST": (
        StraightThroughLayer,
        lambda: TopKASTUpdate(0.75, 0.5, 3, distribution="uniform"),
    ),
    "SR-STE": (StraightThroughLayer, lambda: SRSTEUpdate("2:4", 3)),
}


@pytest.fixture(scope="module")
def models():
    """One compilation a wrapper, as it was before any step."""
    made = {}

    def of(wrapper):
        if wrapper not in made:
            keras.utils.set_random_seed(2)
            dense = keras.Sequential(
                [keras.Input((8,)), layers.Dense(12), layers.Dense(4)]
            )
            model = keras_snn.sparsify(dense, 0.0, wrapper=wrapper)
            model.compile(
                keras.optimizers.SGD(0.02, momentum=0.9),
                "mse",
                steps_per_execution=BLOCK,
                jit_compile=keras.backend.backend() == "jax",
            )
            made[wrapper] = model, snapshot(model)
        model, beginning = made[wrapper]
        restore(model, beginning)
        model._initial_epoch = None  # Where BackupAndRestore began.
        return model

    return of


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == 2 * STEPS + 4:
            raise Killed


def fit(model, *callbacks, first=0):
    model.fit(
        X,
        Y,
        batch_size=2,
        initial_epoch=first,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )


def state(model):
    return [v.numpy() for v in model.variables + model.optimizer.variables]


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_training_ends_as_the_undisturbed_one(name, models, tmp_path):
    wrapper, make = METHODS[name]
    model = models(wrapper)
    fit(model, make())
    masks, undisturbed = get_masks(model), state(model)

    backup = str(tmp_path / "backup")
    model = models(wrapper)
    with pytest.raises(Killed):
        fit(model, make(), keras.callbacks.BackupAndRestore(backup), Kill())
    model = models(wrapper)
    fit(model, make(), keras.callbacks.BackupAndRestore(backup))
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, masks[path])
    for value, expected in zip(state(model), undisturbed, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_a_training_from_a_later_epoch(name, models):
    """The state of an epoch's beginning and `initial_epoch`, no backup."""
    wrapper, make = METHODS[name]

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                kept.append(snapshot(self.model))

    kept = []
    model = models(wrapper)
    fit(model, make(), Keep())
    masks, undisturbed = get_masks(model), state(model)
    restore(model, kept[0])
    fit(model, make(), first=3)
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, masks[path])
    for value, expected in zip(state(model), undisturbed, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)


def test_a_ticket_of_a_step_is_found_in_a_resumed_training(models, tmp_path):
    path = tmp_path / "ticket.npz"
    model = models(MaskedLayer)
    fit(model, LotteryTicket(step=11, filepath=path))
    LotteryTicket(step=11, filepath=path).rewind(model, 0.5)
    assert int(model.optimizer.iterations) == (11 if BLOCK == 1 else 12)
    model = models(MaskedLayer)
    late = LotteryTicket(step=11)
    model.optimizer.iterations.assign(STEPS)
    fit(model, late, first=1)
    late.rewind(model, 0.5)
    assert int(model.optimizer.iterations) == (11 if BLOCK == 1 else 12)
