"""A user's own method, network, data and kind of hardness: a line each."""

import csv
import dataclasses

import pytest

from keras_snn.datasets import SOURCES
from keras_snn.experiments import KINDS
from keras_snn.experiments import METHODS
from keras_snn.experiments import MODELS
from keras_snn.experiments import Kind
from keras_snn.experiments import Method
from keras_snn.experiments import Trial
from keras_snn.experiments import figures
from keras_snn.experiments import recipe
from keras_snn.experiments import studies

pytestmark = pytest.mark.once
OWN = """
import keras
import numpy as np

import keras_snn
from keras_snn.datasets import SOURCES, Source, Split
from keras_snn.experiments import KINDS, METHODS, MODELS
from keras_snn.experiments import Kind, Method, Network


def read(data_dir, seed):
    rng = np.random.default_rng(seed)
    y = np.arange(90, dtype="int32") % 3
    x = rng.integers(0, 80, (90, 8, 8, 1)) + 80 * y[:, None, None, None]
    x = x.astype("uint8")
    parts = slice(50), slice(50, 60), slice(60, None)
    return tuple(Split(x[part], y[part]) for part in parts)


def build(trial, source):
    image = keras.Input(source.image_shape)
    x = keras.layers.Flatten()(image)
    x = keras.layers.Dense(trial.hidden, "relu", name="hidden")(x)
    return keras.Model(image, keras.layers.Dense(source.classes)(x))


def dark(trial, images, part, store):
    return (images * trial.light).astype("uint8")


def grow(trial, x, y):
    return [keras_snn.SETUpdate(1, drop_fraction=trial.drop, seed=trial.seed)]


SOURCES["stripes"] = Source(3, (8, 8, 1), flip=False, read=read)
MODELS["mlp"] = Network("My MLP", build, options={"hidden": 8})
KINDS["dark"] = Kind("dark images", change=dark, options={"light": 0.5})
METHODS["mine"] = Method(
    "Mine", "#AA0000", "p", distribution="erk", callbacks=grow,
    options={"drop": 0.3},
)
"""
PRESET = {
    "quick": {
        "dataset": "stripes",
        "model": "mlp",
        "hard": "dark",
        "method": ["dense", "mine"],
        "sparsity": 0.5,
        "epochs": 2,
        "augment": False,
    }
}


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    tables = (METHODS, MODELS, KINDS, SOURCES)
    before = [dict(table) for table in tables]
    yield path
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


def test_ones_own_rows_run_beside_others_and_are_shown(tmp_path, own):
    def run(settings):
        return studies.compare(settings, figures.accuracy_points)

    arguments = [
        *("--module", str(own), "--drop", "0.2", "0.4", "--light", "0.25"),
        *("--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")),
    ]
    assert recipe.main(run, "doc", PRESET, arguments) == 0
    with (tmp_path / "out" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["dense", "mine", "mine"]
    assert [row["drop"] for row in rows[1:]] == ["0.2", "0.4"]
    assert {row["light"] for row in rows} == {"0.25"}
    text = (tmp_path / "out" / "table.txt").read_text()
    assert "Mine, drop 0.2" in text and "Mine, drop 0.4" in text
    svg = (tmp_path / "out" / "accuracy.svg").read_text()
    assert "#aa0000" in svg and "My MLP on stripes, dark images" in svg


def test_a_misspelt_option_of_ones_own_is_an_error(own, capsys):
    with pytest.raises(SystemExit):
        recipe.options("", PRESET, ["--module", str(own), "--dorp", "0.2"])
    assert "--dorp" in capsys.readouterr().err
    bad = {"quick": {**PRESET["quick"], "lihgt": 0.2}}
    with pytest.raises(ValueError, match="'lihgt'; did you mean 'light'"):
        recipe.options("", bad, ["--module", str(own)])


def test_all_fields_matter_to_a_row_that_does_not_say_which(monkeypatch):
    monkeypatch.setitem(METHODS, "mine", Method("Mine"))
    monkeypatch.setitem(KINDS, "own", Kind("own"))
    trial = Trial(
        method="mine",
        sparsity=0.5,
        dataset="digits",
        model="vgg16",
        hard="own",
        interval=2,
        severity=3,
    )
    assert (trial.interval, trial.severity) == (2, 3)
    assert dataclasses.replace(trial, hard="none").severity == 5
    assert trial.dense.interval == 4


def test_each_row_of_methods_has_a_look_of_its_own():
    looks = [(row.colour, row.marker) for row in METHODS.values()]
    assert len(set(looks)) == len(looks)
    assert len({row.colour for row in METHODS.values()}) == len(looks)
    assert len({row.label for row in METHODS.values()}) == len(looks)
