"""What a user is told when training begins and will not do what it seems to."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import ACDCUpdate
from keras_snn import GMPUpdate
from keras_snn import GraNetUpdate
from keras_snn import OnceSparse
from keras_snn import RigLUpdate
from keras_snn import SETUpdate
from keras_snn import get_masks
from keras_snn.schedules import ConstantSparsity
from keras_snn.schedules import DuringTraining
from keras_snn.schedules import PolynomialDecay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 4)).astype("float32")
Y = RNG.normal(size=(10, 3)).astype("float32")
LATE = ConstantSparsity(0.7, begin_step=0, frequency=1)


def model_of(start):
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(20, name="first"), layers.Dense(3)]
    )
    model = keras_snn.sparsify(dense, start, masks="random")
    model.compile("sgd", "mse", run_eagerly=keras.backend.backend() != "jax")
    return model


def told(callback, start=0.5, epochs=3, beside=(), **options):
    """The warnings of a fit of five steps an epoch."""
    options = {"batch_size": 2, "verbose": 0, **options}
    model = model_of(start)
    before = get_masks(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, Y, epochs=epochs, callbacks=[callback, *beside], **options)
    after = get_masks(model)
    moved = any((after[path] != before[path]).any() for path in before)
    ours = [w for w in caught if "Received: " in str(w.message)]
    assert all(w.category is UserWarning for w in ours)
    return [str(w.message) for w in ours], moved


@pytest.mark.parametrize(
    "callback, start, message",
    [
        (SETUpdate(), 0.5, "interval=4, unit='epochs', end=1.0, and 3 epochs"),
        (SETUpdate(2, end=0.5), 0.5, "end=0.5, and 3 epochs"),
        (RigLUpdate(), 0.5, "interval=100, unit='steps', .*3 epochs of 5 step"),
        (SETUpdate(1), 0.0, "sparsity above 0"),
        (RigLUpdate(interval=2), 0.0, "sparsity above 0"),
        (GMPUpdate(DuringTraining(0.5)), 0.6, "up to 0.5, .* sparsity 0.6"),
        (GMPUpdate(DuringTraining(0.5)), 0.5, "up to 0.5, .* sparsity 0.5"),
    ],
)
def test_what_will_do_nothing_says_so_once(callback, start, message):
    (text,), moved = told(callback, start)
    assert not moved
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(text)


def test_a_schedule_that_decreases_says_so():
    schedule = PolynomialDecay(0.8, 0.6, 0, 10, frequency=2)
    (text,), _ = told(GMPUpdate(schedule), 0.0)
    assert "stays at its highest" in text
    assert "reaches 0.8 and ends with 0.6" in text


@pytest.mark.parametrize(
    "callback, start",
    [
        (SETUpdate(2), 0.5),
        (RigLUpdate(interval=2), 0.5),
        (GMPUpdate(DuringTraining(0.5)), 0.4),
        (GMPUpdate(ConstantSparsity(0.7, 14)), 0.5),
        (GraNetUpdate(None, DuringTraining(0.5, end=0.5)), 0.0),
        (ACDCUpdate(0.5, 1, end=0.6), 0.0),
    ],
)
def test_what_does_something_is_silent(callback, start):
    texts, moved = told(callback, start)
    assert texts == [] and moved


def test_one_that_goes_on_is_silent():
    """Parts of a training: nothing more to do is no mistake there."""
    model = model_of(0.5)
    callback = GMPUpdate(LATE)
    for part in range(2):
        model.fit(
            X,
            Y,
            initial_epoch=part,
            epochs=part + 1,
            verbose=0,
            callbacks=[callback],
        )
    assert keras_snn.sparsity(model) == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize(
    "best",
    [
        lambda: keras.callbacks.EarlyStopping("loss", patience=9),
        lambda: keras.callbacks.ModelCheckpoint(
            "unused.keras", "absent", mode="min", save_best_only=True
        ),
    ],
)
def test_one_that_looks_for_the_best_beside_gmp_says_so(
    best, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    schedule = DuringTraining(0.5, begin=0, end=0.5)
    name = type(best()).__name__
    (text,), _ = told(GMPUpdate(schedule), 0.0, beside=[best()])
    assert f"OnceSparse({name}(...), sparsity)" in text
    texts, _ = told(GMPUpdate(schedule), 0.0, beside=[OnceSparse(best(), 0.5)])
    assert texts == []
    assert told(SETUpdate(1), beside=[best()])[0] == []
