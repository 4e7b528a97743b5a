import csv
import importlib.util
import json
import pathlib
import sys

import keras
import pytest

from keras_snn.experiments import recipe
from keras_snn.experiments import run

pytestmark = pytest.mark.usefixtures("tiny_model")
RECIPES = pathlib.Path(__file__).parents[2] / "recipes"
TINY = "--epochs 1 --data-ratio 0.05 --methods dense set --batch-size 64"


def load(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(tmp_path, options=TINY, name="adversarial_vgg16"):
    module = load(name)
    arguments = [*options.split(), "--out", str(tmp_path / "out")]
    return recipe.main(module.run, module.__doc__, module.PRESETS, arguments)


@pytest.fixture
def fast_export(monkeypatch):
    """Elsewhere than on TensorFlow an export starts a process of its own."""
    if keras.backend.backend() != "tensorflow":
        run_trial = run.run_trial
        monkeypatch.setattr(
            run,
            "run_trial",
            lambda *args, **kw: run_trial(*args, **{**kw, "export": False}),
        )


def test_a_recipe_from_end_to_end(tmp_path, capsys, fast_export):
    assert call(tmp_path) == 0
    out = tmp_path / "out"
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["dense", "set"]
    assert float(rows[1]["sparsity"]) == pytest.approx(0.9, abs=0.01)
    assert (out / "accuracy.png").stat().st_size > 1000
    assert (out / "accuracy.svg").stat().st_size > 1000
    config = json.loads((out / "config.json").read_text())
    assert config["versions"]["keras"] == keras.__version__
    assert config["options"]["epochs"] == 1
    networks = {path.suffix for path in out.glob("trials/*/model.*")}
    if keras.backend.backend() == "tensorflow":
        assert networks == {".keras", ".tflite"}
        assert int(rows[1]["tflite_bytes"]) > 0
    printed = capsys.readouterr().out
    assert "2 networks" in printed and "minutes" in printed
    assert "Adversarial" in printed and "SET" in printed

    # Once more: nothing left to do. With other options: another folder.
    assert call(tmp_path) == 0
    assert "epoch 1/1" not in capsys.readouterr().out
    assert call(tmp_path, TINY.replace("--epochs 1", "--epochs 2")) == 2
    assert "another with --out" in capsys.readouterr().err
    assert json.loads((out / "config.json").read_text()) == config


FIGURES = {
    "adversarial_resnet18": "accuracy",
    "corruption_resnet18": "accuracy",
    "corruption_resnet34": "accuracy",
    "corruption_vgg19": "accuracy",
    "density_variants": "accuracy",
    "el2n_examples": "el2n",
    "el2n_resnet18": "accuracy",
    "el2n_resnet34": "accuracy",
    "layer_density": "density",
    "method_ordering": "accuracy",
    "training_flops": "flops",
}


def test_every_recipe_is_tried():
    names = {path.stem for path in RECIPES.glob("*.py")}
    assert names == {*FIGURES, "adversarial_vgg16"}


@pytest.mark.parametrize("name", FIGURES)
def test_a_recipe_draws_its_figure(tmp_path, name, fast_export):
    some = ("corruption_resnet18", "el2n_resnet18")
    if keras.backend.backend() != "tensorflow" and name not in some:
        pytest.skip("the backend makes no difference to what is left")
    assert call(tmp_path, f"{TINY} --sparsity 0.5", name) == 0
    for suffix in ("png", "svg"):
        path = tmp_path / "out" / f"{FIGURES[name]}.{suffix}"
        assert path.stat().st_size > 1000


def test_presets_are_valid():
    for name in (*FIGURES, "adversarial_vgg16"):
        presets = load(name).PRESETS
        assert {"quick", "paper"} <= set(presets)
        for preset in presets:
            assert recipe.trials(
                recipe.options("", presets, ["--preset", preset])
            )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--sparsity 1.5", "`sparsity` must be in"),
        ("--epochs 0", "`epochs` must be > 0"),
        ("--data-dir missing.npz --dataset cifar10", "missing.npz"),
        ("--data-ratio 2", "`data_ratio` must be in"),
    ],
)
def test_bad_options_are_one_line_and_change_nothing(
    tmp_path, capsys, options, says
):
    assert call(tmp_path, options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and says in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["adversarial_vgg16", "el2n_examples"])
def test_a_missing_package_is_named_before_anything_runs(
    tmp_path, capsys, monkeypatch, name
):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert call(tmp_path, TINY, name) == 2
    assert "pip install matplotlib" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_export_needs_is_missed_before_anything_runs(
    tmp_path, capsys, monkeypatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name == "ai_edge_litert" else find(name),
    )
    assert call(tmp_path, TINY, "adversarial_vgg16") == 2
    assert "pip install ai-edge-litert" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
