import dataclasses
import json

import numpy as np
import pytest

from keras_snn import datasets
from keras_snn.experiments import Trial
from keras_snn.experiments.store import Store
from keras_snn.files import digest
from keras_snn.files import write_csv

pytestmark = pytest.mark.once


def trial(dataset="digits"):
    return Trial(method="set", sparsity=0.8, dataset=dataset, model="vgg16")


@pytest.fixture
def done(tmp_path):
    store = Store(tmp_path)
    store.keep(trial(), {"sparsity": 0.8, "clean_accuracy": 0.5})
    return trial(), store


def test_a_result_comes_back_with_the_fields_of_its_trial(done):
    this, store = done
    row = store.result(this)
    assert (row["trial"], row["clean_accuracy"]) == (this.key, 0.5)
    assert (row["requested_sparsity"], row["epochs"]) == (0.8, 200)
    assert row["snip_ratios_only"] is False
    assert store.failure(this) is None
    assert not store.has_network(this)
    with pytest.raises(FileNotFoundError, match="kept, or nothing can build"):
        store.network(this)
    assert store.result(dataclasses.replace(this, seed=1)) is None


def test_a_failure_gives_way_to_a_result(tmp_path):
    store = Store(tmp_path)
    try:
        raise ZeroDivisionError("so it is")
    except ZeroDivisionError as error:
        row = store.fail(trial(), error, commit="abc")
    assert row["error"] == "ZeroDivisionError: so it is"
    (path,) = tmp_path.glob("trials/*.failed.json")
    kept = json.loads(path.read_text())
    assert kept["commit"] == "abc" and kept["fields"]["method"] == "set"
    assert "raise ZeroDivisionError" in "".join(kept["traceback"])
    assert store.rows([trial()]) == [row]
    store.keep(trial(), {"clean_accuracy": 0.5})
    assert store.failure(trial()) is None
    assert "error" not in store.result(trial())


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "{}",
        "null",
        "3",
        "[" * 100_000,
        '{"trial": "other"}',
        lambda text: text.replace("0.5", "0.6"),
    ],
)
def test_what_is_no_result_of_the_trial_is_refused(done, damage):
    this, store = done
    path = store.place(this) / "result.json"
    path.write_text(damage(path.read_text()) if callable(damage) else damage)
    with pytest.raises(ValueError, match=r"result\.json must (hold|be of)"):
        store.result(this)


def test_a_history_is_the_one_that_was_written(tmp_path):
    store, this = Store(tmp_path), trial()
    path = store.begin(this) / "history.csv"
    write_csv(path, [{"epoch": 1}, {"epoch": 2, "loss": 0.25}])
    known = {"history_sha256": digest(path.read_bytes())}
    store.keep(this, known)
    found = store.history(this)
    np.testing.assert_equal(found, {"epoch": [1, 2], "loss": [np.nan, 0.25]})
    path = store.place(this) / "history.csv"
    path.write_bytes(path.read_bytes().replace(b"0.25", b"0.26"))
    with pytest.raises(ValueError, match=r"history\.csv must hold.*not as it"):
        store.history(this)
    path.unlink()
    with pytest.raises(ValueError, match=r"history\.csv must hold.*not as it"):
        store.history(this)
    # Results of earlier versions do not know theirs.
    store.keep(this, {})
    assert store.history(this) == {}
    path.write_text("epoch,loss\n1,0.26\n")
    assert store.history(this) == {"epoch": [1], "loss": [0.26]}
    path.write_text("epoch,loss\n1,0.2x\n")
    with pytest.raises(ValueError, match=r"history\.csv must hold.*0\.2x"):
        store.history(this)


def test_what_another_store_holds_is_taken_whole(done, tmp_path):
    this, theirs = done
    (theirs.place(this) / "model.keras").write_bytes(b"weights")
    store = Store(tmp_path / "elsewhere")
    (store.begin(this) / "epoch-000002.npz").touch()
    assert store.take(this, theirs.files(this)) == theirs.result(this)
    assert store.files(this) == theirs.files(this)
    assert not list(tmp_path.glob("elsewhere/trials/*.unfinished"))
    other = dataclasses.replace(this, seed=1)
    theirs.fail(other, ValueError("so it is"))
    (store.begin(other) / "epoch-000002.npz").touch()
    assert store.take(other, theirs.files(other)) == theirs.failure(other)
    assert store.files(other) == theirs.files(other)
    assert not list(tmp_path.glob("elsewhere/trials/*.unfinished"))


def test_results_are_of_their_data(tmp_path):
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

    this = trial("cifar10")
    paths = [file("a.npz", 30), file("b.npz", 40), tmp_path / "c.npz"]
    paths[2].write_bytes(paths[0].read_bytes())
    a, b, c = (Store(tmp_path / "store", path) for path in paths)
    a.keep(this, {"clean_accuracy": 0.1})
    assert b.result(this) is None
    b.keep(this, {"clean_accuracy": 0.2})
    # Data that lies elsewhere is the same data.
    assert c.result(this)["clean_accuracy"] == 0.1
    # Of several, the rows are of the data that is named.
    assert [row["clean_accuracy"] for row in b.rows([this])] == [0.2]
    # What is replaced under its path is looked at anew.
    paths[2].write_bytes(paths[1].read_bytes())
    assert Store(c.folder, paths[2]).result(this)["clean_accuracy"] == 0.2


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
    (damaged / "result.json").write_text("null")
    (found,) = store.measured()
    assert found["trial"] == this.key and found["clean_accuracy"] == 0.5
