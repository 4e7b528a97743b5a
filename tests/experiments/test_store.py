import json

import numpy as np
import pytest

from keras_snn import datasets
from keras_snn.experiments import run_trial
from keras_snn.experiments.store import Store


def quiet(line):
    del line


@pytest.fixture
def done(tmp_path, trial_of):
    this = trial_of("random", hard="none", epochs=1)
    run_trial(this, tmp_path, say=quiet)
    return this, Store(tmp_path)


@pytest.mark.parametrize("damage", ["{", "{}", "null", '{"trial": "other"}'])
def test_what_is_no_result_of_the_trial_is_refused(done, damage):
    this, store = done
    path = store.place(this) / "result.json"
    path.write_text(damage)
    with pytest.raises(ValueError, match=r"result\.json must (hold|be of)"):
        store.result(this)


def test_results_are_of_their_data(tmp_path, trial_of):
    rng = np.random.default_rng(0)

    def file(name, images):
        arrays = {}
        for part, count in (("train", images), ("test", 20)):
            arrays[f"x_{part}"] = rng.integers(
                0, 256, (count, 32, 32, 3), "uint8"
            )
            arrays[f"y_{part}"] = rng.integers(0, 10, count)
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    this = trial_of("random", hard="none", epochs=1, dataset="cifar10")
    paths = [file("a.npz", 300), file("b.npz", 400)]
    copied = tmp_path / "c.npz"
    copied.write_bytes(paths[0].read_bytes())
    store = tmp_path / "store"
    a, b, c = (
        run_trial(this, store, data_dir=path, say=quiet)
        for path in (*paths, copied)
    )
    assert (a["images"], b["images"]) == (30, 40)
    assert a["data"] != b["data"]
    assert a == c  # Data that lies elsewhere is the same data.
    # Of several, the rows are of the data that is named.
    assert Store(store, paths[1]).rows([this]) == [b]


def test_rows_need_no_data_where_there_is_one_of_a_key(done, monkeypatch):
    this, store = done
    row = store.result(this)
    monkeypatch.delitem(datasets.SOURCES, "digits")
    assert Store(store.folder).rows([this]) == [row]


def test_measured_reads_whole_results_alone(done):
    this, store = done
    unfinished = store.begin(this)
    (unfinished / "result.json").write_text("{}")
    damaged = store.folder / "trials" / "damaged"
    damaged.mkdir()
    (damaged / "result.json").write_text("{")
    (found,) = store.measured()
    assert found["trial"] == this.key
    assert json.loads((store.place(this) / "result.json").read_text()) == found
