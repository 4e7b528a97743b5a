import csv
import importlib.util
import json
import pathlib
import sys

import keras
import pytest

from keras_snn.experiments import OnRay
from keras_snn.experiments import attempt
from keras_snn.experiments import cost
from keras_snn.experiments import recipe
from keras_snn.experiments import registry
from keras_snn.experiments.__main__ import main as run_file
from keras_snn.experiments.grid import trials
from keras_snn.experiments.runners.in_turn import in_turn

pytestmark = [
    pytest.mark.usefixtures("tiny_model"),
    # Trainings of one epoch.
    pytest.mark.filterwarnings("ignore:No mask will change"),
]
RECIPES = pathlib.Path(__file__).parents[2] / "recipes"
TINY = (
    "--model tiny --epochs 1 --data-ratio 0.05 --methods dense set "
    "--batch-size 64 --attack-steps 1 --test-attack-steps 1"
)


def load(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def folders(tmp_path):
    return ["--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]


def call(tmp_path, options=TINY, name="adversarial_vgg16"):
    module = load(name)
    arguments = [*options.split(), *folders(tmp_path)]
    return recipe.main(module.run, module.__doc__, module.PRESETS, arguments)


def rows_of(tmp_path):
    with (tmp_path / "out" / "results.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def fast_export(monkeypatch):
    """Elsewhere than on TensorFlow an export starts a process of its own."""
    if keras.backend.backend() != "tensorflow":
        monkeypatch.setattr(
            attempt,
            "exported",
            lambda trial, store: (
                store.add(trial, {"tflite_bytes": 1}) or store.result(trial)
            ),
        )


def test_a_recipe_from_end_to_end(tmp_path, capsys, fast_export):
    assert call(tmp_path) == 0
    out = tmp_path / "out"
    rows = rows_of(tmp_path)
    assert [row["method"] for row in rows] == ["dense", "set"]
    assert float(rows[1]["sparsity"]) == pytest.approx(0.9, abs=0.01)
    assert (out / "accuracy.png").stat().st_size > 1000
    assert (out / "accuracy.svg").stat().st_size > 1000
    about = json.loads((out / "grid.json").read_text())
    assert about["versions"]["keras"] == keras.__version__
    assert about["fields"]["epochs"] == [1]
    assert about["command"] and about["title"].startswith("Tiny on digits")
    networks = {p.suffix for p in tmp_path.glob("store/trials/*/model.*")}
    if keras.backend.backend() == "tensorflow":
        assert networks == {".keras", ".tflite"}
        assert int(rows[1]["tflite_bytes"]) > 0
    printed = capsys.readouterr().out
    assert "2 networks" in printed and "Tiny on digits" in printed
    assert "Adversarial" in printed and "SET" in printed


@pytest.mark.once
def test_a_grid_may_grow(tmp_path, capsys, fast_export):
    assert call(tmp_path) == 0
    capsys.readouterr()
    assert call(tmp_path) == 0
    assert "epoch 1/1" not in capsys.readouterr().out
    assert call(tmp_path, f"{TINY} --seeds 0 1") == 0
    printed = capsys.readouterr().out
    assert printed.count("epoch 1/1") == 2
    assert [row["seed"] for row in rows_of(tmp_path)] == ["0", "0", "1", "1"]
    assert "±" in (tmp_path / "out" / "table.txt").read_text()


@pytest.mark.once
def test_what_would_be_run_what_was_and_what_there_is(tmp_path, capsys):
    name = "layer_density"
    options = TINY.replace("dense", "omp") + " --el2n-models 2"
    assert call(tmp_path, f"{options} --plot-only", name) == 2
    assert "nothing to plot" in capsys.readouterr().err.replace("\n", " ")
    assert call(tmp_path, f"{options} --dry-run", name) == 0
    printed = capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()
    assert "2 networks and 3 that they build on; 5 left" in printed
    assert "at 11 TFLOP/s, an assumption" in printed
    assert printed.count("builds on dense-0-seed") == 3
    assert "and 2 more" in printed
    assert call(tmp_path, options, name) == 0
    capsys.readouterr()
    more = options.replace("set", "set random")
    assert call(tmp_path, f"{more} --dry-run", name) == 0
    printed = capsys.readouterr().out
    assert printed.count("done  ") == 5
    assert "; 1 left" in printed
    assert "by what was measured on" in printed
    (tmp_path / "out" / "density.png").unlink()
    assert call(tmp_path, f"{more} --plot-only", name) == 0
    printed = capsys.readouterr().out
    assert "2 of 3 networks" in printed and "epoch" not in printed
    assert (tmp_path / "out" / "density.png").exists()


@pytest.mark.once
def test_a_network_beyond_memory_is_told_in_one_line(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(cost, "memory", lambda: 16e9)
    wide = "--methods set --width 64 --dry-run"
    assert call(tmp_path, wide) == 2
    error = capsys.readouterr().err
    assert "width=64, vgg16 of about 4" in error and error.count("\n") == 1
    # Of a user's own, which is as narrow at any width.
    assert call(tmp_path, f"{wide} --model tiny") == 0


@pytest.mark.once
def test_a_failure_is_told_by_the_exit_status(tmp_path, capsys):
    name = "corruption_vgg19"
    options = f"{TINY} --hard none --sparsity 0.5 --learning-rate 1e30 0.01"
    assert call(tmp_path, options, name) == 1
    assert "2 of 4 trials failed" in capsys.readouterr().err
    text = (tmp_path / "out" / "table.txt").read_text()
    assert text.count("Failed: ") == 2 and "must stay finite" in text
    assert (tmp_path / "out" / "accuracy.png").exists()
    assert [bool(row["error"]) for row in rows_of(tmp_path)].count(True) == 2
    assert call(tmp_path, options, name) == 1
    assert "failed: " not in capsys.readouterr().out
    assert call(tmp_path, f"{options} --retry", name) == 1
    assert capsys.readouterr().out.count("failed: ") == 2


@pytest.mark.once
def test_a_grid_in_a_file(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text(
        """
        figure = "density_lines"
        [grid]
        dataset = "digits"
        model = "tiny"
        method = ["dense", "set"]
        sparsity = [0.5, 0.9]
        data_ratio = 0.05
        epochs = 1
        milestones = []
        """
    )
    options = [*folders(tmp_path), "--sparsity", "0.5"]
    assert run_file([str(path), *options]) == 0
    assert [row["method"] for row in rows_of(tmp_path)] == ["dense", "set"]
    for wrong, says in (
        ("figures = 1", "'figures'; did you mean 'figure'"),
        ("figure = 'lines'", "`figure` must be one of"),
        ("[grid]\nsparsty = 1", "'sparsty'; did you mean 'sparsity'"),
        ("[grid", "must be a TOML file"),
        ("a = " + "[" * 10_000, "must be a TOML file"),
        ("figure = 3", "must be of type str. Received: figure=3"),
        ("grid = 3", "must be of type dict. Received: grid=3"),
    ):
        path.write_text(wrong)
        assert run_file([str(path), *options]) == 2
        assert says in capsys.readouterr().err


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
    "own_method": "accuracy",
    "training_flops": "flops",
}


@pytest.mark.once
def test_every_recipe_is_tried():
    names = {path.stem for path in RECIPES.glob("*.py")}
    elsewhere = {"adversarial_vgg16", "million_neurons"}
    assert names == {*FIGURES, *elsewhere}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.mark.once
@pytest.mark.parametrize("name", FIGURES)
def test_a_recipe_draws_its_figure(tmp_path, shared, name, fast_export):
    options = f"{TINY} --sparsity 0.5 --el2n-models 1 --store {shared}"
    module = load(name)
    if name == "own_method":  # Its row is there as soon as it is imported.
        options += " --methods dense variance rigl"
    arguments = [*options.split(), "--out", str(tmp_path / "out")]
    presets = module.PRESETS
    assert recipe.main(module.run, module.__doc__, presets, arguments) == 0
    for suffix in ("png", "svg"):
        path = tmp_path / "out" / f"{FIGURES[name]}.{suffix}"
        assert path.stat().st_size > 1000


@pytest.mark.once
def test_presets_are_valid():
    for name in (*FIGURES, "adversarial_vgg16"):
        presets = load(name).PRESETS
        of_paper = set() if name == "own_method" else {"paper"}
        assert {"quick"} | of_paper <= set(presets)
        for preset in presets:
            settings = recipe.options("", presets, ["--preset", preset])
            assert trials(settings.fields)


@pytest.mark.once
def test_every_field_has_an_option():
    fields = recipe.options(
        "",
        load("corruption_vgg19").PRESETS,
        "--nesterov --augment false --hold-out true --milestones 0.5 0.8 "
        "--snip-ratios-only true false --stem tiny --seed 1 2".split(),
    ).fields
    assert fields["nesterov"] == [True] and fields["augment"] == [False]
    assert fields["milestones"] == [0.5, 0.8]
    assert fields["snip_ratios_only"] == [True, False]
    grid = trials(fields)
    assert {t.snip_ratios_only for t in grid if t.method == "snip"} == {
        True,
        False,
    }
    assert all(t.milestones == (0.5, 0.8) and t.hold_out for t in grid)


@pytest.mark.once
def test_where_trials_run_is_an_option(tmp_path, monkeypatch):
    presets = load("corruption_vgg19").PRESETS
    (tmp_path / "mine.py").write_text("")
    monkeypatch.setattr(registry, "LOADED", [])
    monkeypatch.setattr(recipe, "LOADED", registry.LOADED)

    def runner(options):
        return recipe.options("", presets, options.split()).runner

    assert runner("") is in_turn
    mine = str(tmp_path / "mine.py")
    assert runner(f"--workers 2 --cpus-per-trial 3 --module {mine}") == OnRay(
        workers=2, cpus=3, modules=(mine,)
    )
    assert runner("--ray auto --gpus-per-trial .5").gpus == 0.5


@pytest.mark.once
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--sparsity 1.5", "`sparsity` must be in"),
        ("--epochs 0", "`epochs` must be from 1"),
        ("--data-dir missing.npz --dataset cifar10", "missing.npz"),
        ("--data-ratio 2", "`data_ratio` must be in"),
        ("--workers 0", "Argument `workers` must be"),
        ("--workers 2 --cpus-per-trial 0", "Argument `cpus` must be"),
        ("--workers 2 --ray auto", "Either of `workers`"),
        ("--ray ray://head:10001", "a client of Ray is none"),
        ("--ray auto --gpus-per-trial -1", "`gpus` must be >= 0"),
    ],
)
def test_bad_options_are_one_line_and_change_nothing(
    tmp_path, capsys, options, says
):
    assert call(tmp_path, options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and says in error
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()


@pytest.mark.once
@pytest.mark.parametrize("option", ["out", "store"])
def test_a_file_where_a_folder_goes_is_told(tmp_path, capsys, option):
    (tmp_path / option).write_text("mine")
    assert call(tmp_path) == 2
    assert f"--{option} must be a folder" in capsys.readouterr().err
    assert (tmp_path / option).read_text() == "mine"


@pytest.mark.once
@pytest.mark.parametrize("name", ["adversarial_vgg16", "el2n_examples"])
def test_a_missing_package_is_named_before_anything_runs(
    tmp_path, capsys, monkeypatch, name
):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert call(tmp_path, TINY, name) == 2
    assert "pip install matplotlib" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.once
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
