"""The recipe of a million neurons, with a few hundred."""

import importlib.util
import pathlib

import keras
import pytest

RECIPE = pathlib.Path(__file__).parents[2] / "recipes" / "million_neurons.py"


@pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="the backend makes no difference to what is left",
)
@pytest.mark.filterwarnings("ignore:A sparse layer is faster")
def test_it_trains_and_tells_what_it_took(capsys):
    spec = importlib.util.spec_from_file_location("million_neurons", RECIPE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    accuracy = module.main(["--neurons", "600", "--epochs", "4"])
    printed = capsys.readouterr().out
    count = 2 * (3072 + 300) + 2 * 600 + 2 * 310
    assert f"600 hidden neurons, {count:,} nonzeros of 1,014,600" in printed
    assert printed.count("s, accuracy") == 4
    assert "MB resident" in printed
    assert accuracy > 0.4
