"""One trial on several devices: `devices=2`, on four virtual CPUs."""

import keras
import numpy as np
import pytest

from keras_snn.experiments import recipe
from keras_snn.experiments import run_grid
from keras_snn.experiments import run_trial
from keras_snn.experiments.store import Store

BACKEND = keras.backend.backend()


def quiet(line):
    del line


class KilledError(BaseException):
    pass


@pytest.fixture
def precision(monkeypatch):
    """Float64 where it can be had: there, rounding hides no other error."""
    if BACKEND != "tensorflow":
        yield "float32"
        return
    known = ("float32", "float64")
    monkeypatch.setattr("keras_snn.experiments.trial.PRECISIONS", known)
    keras.config.set_floatx("float64")  # Of losses.
    yield "float64"
    keras.config.set_floatx("float32")


@pytest.mark.skipif(
    BACKEND == "torch", reason="Keras distributes nothing on it"
)
def test_two_devices_train_as_one(tmp_path, trial_of, precision):
    changes = {"hard": "none", "data_ratio": 0.105, "epochs": 2}
    trial = trial_of("set", precision=precision, **changes)
    alone = run_trial(trial, tmp_path / "one", say=quiet)

    def kill(line):
        if "epoch 1/2" in line:
            raise KilledError

    with pytest.raises(KilledError):
        run_trial(trial, tmp_path / "two", say=kill, devices=2)
    together = run_trial(trial, tmp_path / "two", say=quiet, devices=2)
    assert together["images"] % 64 % 2 == 1  # The last batch does not divide.
    assert together["trial"] == alone["trial"]
    assert together["device"] == f"2 x {alone['device']}"
    assert together["layer_densities"] == alone["layer_densities"]
    networks = [
        Store(tmp_path / folder).network(trial).get_weights()
        for folder in ("one", "two")
    ]
    atol = 1e-12 if precision == "float64" else 1e-5
    for one, two in zip(*networks, strict=True):
        np.testing.assert_array_equal(one != 0, two != 0)
        np.testing.assert_allclose(one, two, rtol=0, atol=atol)


def test_devices_that_cannot_share_a_training(tmp_path, trial_of):
    trial = trial_of("dense", sparsity=0.0, hard="none")
    told = "distributes nothing" if BACKEND == "torch" else "there are 4"
    for run in (run_trial, lambda t, out, **on: run_grid([t], out, **on)):
        with pytest.raises(ValueError, match=f"{told}|multiple of the dev"):
            run(trial, tmp_path, devices=8)
    with pytest.raises(ValueError, match="multiple.*=64, 3 devices"):
        run_trial(trial, tmp_path, devices=3)
    with pytest.raises(ValueError, match="`devices` must be an int >= 1"):
        run_trial(trial, tmp_path, devices=0)
    assert not list(tmp_path.glob("trials/*"))
    presets = {
        "quick": {
            "method": ["dense"],
            "sparsity": 0.5,
            "dataset": "digits",
            "model": "tiny",
        }
    }
    settings = recipe.options("", presets, ["--devices", "2"])
    assert settings.config["devices"] == 2


@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX draws for the batch")
def test_draws_within_a_step_of_several_devices(tmp_path, trial_of):
    trial = trial_of("dense", sparsity=0.0)
    with pytest.raises(ValueError, match="at random.*\\['adversarial'\\]"):
        run_trial(trial, tmp_path, say=quiet, devices=2)
