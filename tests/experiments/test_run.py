import json

import keras
import numpy as np
import pytest

from keras_snn.experiments import Trial
from keras_snn.experiments import run
from keras_snn.experiments import run_grid
from keras_snn.experiments import run_trial
from keras_snn.experiments.methods import METHODS

pytestmark = pytest.mark.usefixtures("tiny_model")


def trial(method="set", **changes):
    fields = {
        "sparsity": 0.8,
        "dataset": "digits",
        "model": "vgg16",
        "data_ratio": 0.1,
        "epochs": 3,
        "interval": 1,
        "batch_size": 64,
        "hard": "adversarial",
        "attack_steps": 1,
        "test_attack_steps": 1,
    }
    return Trial(method=method, **{**fields, **changes})


def weights_of(trial, out):
    path = out / "trials" / trial.key / "model.keras"
    return keras.saving.load_model(path).get_weights()


def quiet(line):
    del line


def test_every_method_runs_and_shares_the_dense_network(tmp_path):
    lines = []
    # The battery runs each method on each backend; here one of each kind.
    methods = ("dense", "set", "omp", "lth")
    if keras.backend.backend() == "tensorflow":
        methods = tuple(METHODS)
    trials = [trial(method) for method in methods]
    results = run_grid(trials, tmp_path, say=lines.append)
    assert [row["method"] for row in results] == list(methods)
    epochs = [line for line in lines if "epoch 3/3" in line]
    assert len(epochs) == len(methods)  # The dense network trained once.
    total = results[0]["active_parameters"]
    size = 3 * 3 * 3 * 4 + 36 * 10
    for row in results[1:]:
        assert abs(row["sparsity"] - 0.8) <= 1 / size
        assert total - row["active_parameters"] == round(0.8 * size)
    for row in results:
        assert 0 <= row["adversarial_accuracy"] <= 1
        assert 0 <= row["clean_accuracy"] <= 1
    for each in trials:
        kernels = [w for w in weights_of(each, tmp_path) if w.ndim > 1]
        zeros = sum(np.count_nonzero(k == 0) for k in kernels)
        assert zeros >= round(each.sparsity * size)


def test_what_is_done_is_not_done_again(tmp_path):
    first = run_trial(trial("random"), tmp_path, say=quiet)
    lines = []
    assert run_trial(trial("random"), tmp_path, say=lines.append) == first
    assert lines == []


class KilledError(Exception):
    pass


@pytest.mark.parametrize("method", ["set", "lth"])
def test_a_killed_trial_goes_on_to_the_same_weights(tmp_path, method):
    this = trial(method)
    run_trial(this, tmp_path / "whole", say=quiet)
    seen = []

    def kill(line):
        if "epoch 2/3" in line:
            seen.append(line)
            # LTH trains the dense network first: kill both trainings.
            raise KilledError

    runs = 2 if METHODS[method].from_dense else 1
    for _ in range(runs):
        with pytest.raises(KilledError):
            run_trial(this, tmp_path / "killed", say=kill)
    lines = []
    resumed = run_trial(this, tmp_path / "killed", say=lines.append)
    assert len(seen) == runs
    assert [x for x in lines if "epoch" in x][0].strip().startswith("epoch 3/3")
    for a, b in zip(
        weights_of(this, tmp_path / "whole"),
        weights_of(this, tmp_path / "killed"),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    whole = run_trial(this, tmp_path / "whole", say=quiet)
    for name in ("clean_accuracy", "adversarial_accuracy", "sparsity"):
        assert resumed[name] == whole[name]


def test_a_folder_appears_when_it_is_whole(tmp_path, monkeypatch):
    def fail(*_):
        raise KilledError

    monkeypatch.setattr(run, "evaluate", fail)
    with pytest.raises(KilledError):
        run_trial(trial(), tmp_path, say=quiet)
    assert not (tmp_path / "trials" / trial().key).exists()
    monkeypatch.undo()


def test_a_trial_on_clean_images(tmp_path):
    this = trial("random", hard="none", epochs=1)
    result = run_trial(this, tmp_path, say=quiet)
    assert "adversarial_accuracy" not in result
    folder = tmp_path / "trials" / this.key
    assert json.loads((folder / "trial.json").read_text())["epochs"] == 1
    assert (folder / "history.csv").read_text().startswith("epoch,seconds,")


def test_the_hardest_samples_are_chosen_once_for_all(tmp_path):
    lines = []
    fields = {"hard": "el2n", "el2n_epoch": 1, "el2n_models": 2, "epochs": 1}
    for method in ("dense", "random"):
        run_trial(trial(method, **fields), tmp_path, say=lines.append)
    first = [line for line in lines if "first the dense network" in line]
    assert len(first) == 2  # Two networks give the scores, once.


def test_corrupted_images_are_kept(tmp_path):
    run_trial(trial("random", hard="corruption", epochs=1), tmp_path, say=quiet)
    assert len(list((tmp_path / "corrupted").glob("*.npy"))) == 3


def test_same_seed_same_network_another_seed_another(tmp_path):
    for folder in ("a", "b"):
        run_trial(trial("set", epochs=2), tmp_path / folder, say=quiet)
    a, b = (weights_of(trial("set", epochs=2), tmp_path / f) for f in "ab")
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    other = trial("set", epochs=2, seed=1)
    run_trial(other, tmp_path / "a", say=quiet)
    c = weights_of(other, tmp_path / "a")
    assert any(not np.array_equal(x, y) for x, y in zip(a, c, strict=True))
