"""The best epoch of those that are sparse."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import GMPUpdate
from keras_snn import OnceSparse
from keras_snn.schedules import DuringTraining

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.zeros((8, 3), "float32")


class Worse(keras.callbacks.Callback):
    """A value that is best at first: what a dense network would be."""

    def on_epoch_end(self, epoch, logs=None):
        logs["value"] = float(epoch)


def model_of():
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(20), layers.Dense(3)]
    )
    model = keras_snn.sparsify(dense, 0.0)
    model.compile("adam", "mse", run_eagerly=keras.backend.backend() != "jax")
    return model


def fit(model, *callbacks, final=0.8):
    update = GMPUpdate(DuringTraining(final, begin=0, end=0.5, interval=1))
    return model.fit(
        X, Y, epochs=6, verbose=0, callbacks=[update, Worse(), *callbacks]
    )


def stopping(**options):
    return keras.callbacks.EarlyStopping("value", mode="min", **options)


def test_early_stopping_brings_back_the_best_sparse_epoch():
    model = model_of()
    best = stopping(restore_best_weights=True, patience=2)
    history = fit(model, OnceSparse(best, 0.8))
    assert len(history.epoch) == 5  # Epochs 2 to 4 count, two are worse.
    assert best.best_epoch == 2 and best.best == 2
    assert keras_snn.sparsity(model) == pytest.approx(0.8, abs=0.005)
    for masked in keras_snn.masked_weights(model).values():
        assert not masked.weight_array()[~masked.mask_array()].any()


def test_a_checkpoint_of_the_best_is_sparse(tmp_path):
    path, model = tmp_path / "best.keras", model_of()
    best = keras.callbacks.ModelCheckpoint(
        str(path), "value", mode="min", save_best_only=True
    )
    fit(model, OnceSparse(best, 0.8))
    loaded = keras.saving.load_model(path)
    assert keras_snn.sparsity(loaded) == pytest.approx(0.8, abs=0.005)


class Hooks(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.ends = []
        self.begins = 0

    def on_train_batch_begin(self, batch, logs=None):
        self.begins += 1

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append("batch")

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(epoch)


def test_what_is_passed_on():
    hooks = Hooks()
    fit(model_of(), OnceSparse(hooks, 0.8))
    assert hooks.begins == 6
    assert hooks.ends == [2, "batch", 3, "batch", 4, "batch", 5]
    assert hooks.model is not None and hooks.params["epochs"] == 6


def test_a_sparsity_that_never_comes_says_so():
    model, best = model_of(), stopping(restore_best_weights=True)
    with pytest.warns(UserWarning, match="EarlyStopping saw none.*0.9"):
        fit(model, OnceSparse(best, 0.9))


def test_errors():
    with pytest.raises(TypeError, match="must be a Keras callback"):
        OnceSparse("EarlyStopping", 0.9)
    with pytest.raises(ValueError, match=r"in \[0, 1\)"):
        OnceSparse(stopping(), 1.0)
