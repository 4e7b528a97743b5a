"""A method of a user's own: by activations, with state that is resumed."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(8, 3)).astype("float32")


class GrowWhereInputsVary(keras_snn.DropAndGrow):
    """Grows from the inputs that vary most, by a floor that adapts."""

    def __init__(self, x, interval=1, **options):
        super().__init__(interval, drop_fraction=0.5, **options)
        self.x = x

    def gradients(self, model, weights, step):
        names = {p: m.owner.layer.name for p, m in weights.items()}
        seen = keras_snn.activations(model, list(names.values()), self.x)
        variances = {p: seen[name][0].var(axis=0) for p, name in names.items()}
        floor = self.state.get("floor", 0.0)
        mean = np.mean([each.mean() for each in variances.values()])
        self.state["floor"] = 0.9 * floor + 0.1 * mean
        return {
            path: np.maximum(variances[path], floor)[:, None]
            + np.zeros(masked.weight.shape)
            for path, masked in weights.items()
        }

    def grow(self, update, mask, count):
        scores = update.gradient + 1e-6 * update.rng.random(mask.shape)
        return update.pattern.grow_highest(scores, mask, count)


def model_of(seed=7):
    keras.utils.set_random_seed(seed)
    plain = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu", name="first"),
            layers.Dense(3, name="last"),
        ]
    )
    model = keras_snn.sparsify(plain, 0.5, "uniform")
    model.compile("sgd", "mse", run_eagerly=True)
    return model


class Killed(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise InterruptedError


def train(*more, seed=7):
    model, method = model_of(seed), GrowWhereInputsVary(X)
    callbacks = [method, *more]
    model.fit(X, Y, epochs=5, verbose=0, shuffle=False, callbacks=callbacks)
    return model, method.state


def test_state_lives_with_the_model_and_is_resumed(tmp_path):
    undisturbed, expected = train()
    assert float(expected["floor"]) > 0
    backup = keras.callbacks.BackupAndRestore
    with pytest.raises(InterruptedError):
        train(Killed(), backup(str(tmp_path)))
    resumed, state = train(backup(str(tmp_path)), seed=8)
    assert set(state) == set(expected) == {"floor", "explored"}
    for name, value in expected.items():
        np.testing.assert_allclose(state[name], value, rtol=1e-6)
    masks = keras_snn.get_masks(undisturbed)
    for path, mask in keras_snn.get_masks(resumed).items():
        np.testing.assert_array_equal(mask, masks[path])


def test_state_is_saved_with_a_model_and_begins_anew_with_a_training(tmp_path):
    model, state = train()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    method = GrowWhereInputsVary(X)
    method.set_model(loaded)
    assert float(method.state["floor"]) == pytest.approx(float(state["floor"]))
    first = method.state["floor"]
    loaded.compile("sgd", "mse", run_eagerly=True)
    loaded.fit(X, Y, epochs=2, verbose=0, callbacks=[method])
    assert float(method.state["floor"]) < float(first)  # Of one update again.
