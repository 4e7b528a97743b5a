import csv

import pytest

from keras_snn.experiments import figures
from keras_snn.experiments.grid_files import GridFiles

pytestmark = pytest.mark.once


def row(seed, accuracy):
    return {
        "trial": f"set-{seed}",
        "method": "set",
        "seed": seed,
        "data_ratio": 1.0,
        "requested_sparsity": 0.5,
        "sparsity": 0.5,
        "clean_accuracy": accuracy,
        "active_parameters": 10,
        "layer_densities": {"conv/kernel": 0.5},
        "seconds": 1.0,
    }


def seeds(folder):
    with (folder / "results.csv").open() as file:
        return [line["seed"] for line in csv.DictReader(file)]


def test_files_are_there_after_the_first_result_and_grow(tmp_path):
    folder = tmp_path / "new" / "folder"
    drawn = []

    def draw(rows, title):
        drawn.append(len(rows))
        return figures.accuracy_lines(rows, title)

    files = GridFiles(folder, draw, "accuracy", "a title")
    rows = [row(0, 0.4)]
    files(rows)
    names = ["accuracy.png", "accuracy.svg", "results.csv", "table.txt"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert seeds(folder) == ["0"]
    rows.append(row(1, 0.6))
    files(rows)  # Drawing takes a small share of the time: not yet again.
    assert drawn == [1]
    files(rows, last=True)
    assert drawn == [1, 2]
    assert seeds(folder) == ["0", "1"]
    assert "0.500 ± 0.141" in (folder / "table.txt").read_text()
    assert "layer_densities" not in (folder / "results.csv").read_text()


def test_where_all_failed_there_is_a_table_and_no_figure(tmp_path):
    files = GridFiles(tmp_path, figures.accuracy_lines, "accuracy", "a title")
    files([{"trial": "set-0", "method": "set", "error": "NaN"}], last=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["results.csv", "table.txt"]
    assert "Failed: set-0: NaN" in (tmp_path / "table.txt").read_text()
