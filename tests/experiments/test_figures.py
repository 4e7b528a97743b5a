import pytest

from keras_snn.experiments import figures
from keras_snn.experiments import tables

pytestmark = pytest.mark.numpy


def result(method, seed=0, ratio=1.0, sparsity=0.9, clean=0.5, attacked=0.25):
    return {
        "method": method,
        "seed": seed,
        "data_ratio": ratio,
        "requested_sparsity": 0.0 if method == "dense" else sparsity,
        "sparsity": 0.0 if method == "dense" else sparsity,
        "clean_accuracy": clean,
        "adversarial_accuracy": attacked,
        "active_parameters": 1000,
        "seconds": 1.0,
    }


def test_bars_stand_in_a_panel_for_each_setting_with_dense_in_each():
    rows = [
        result(method, seed, ratio, sparsity)
        for ratio in (1.0, 0.5)
        for sparsity in (0.9, 0.8)
        for method in ("dense", "set", "snip")
        for seed in (0, 1)
    ]
    figure = figures.accuracy_bars(rows, "title")
    assert len(figure.axes) == 4
    for axis in figure.axes:
        labels = [label.get_text() for label in axis.get_xticklabels()]
        assert labels == ["Dense", "SNIP", "SET"]
        heights = sorted({round(bar.get_height()) for bar in axis.patches})
        assert heights == [25, 50]


def test_bars_of_the_dense_network_alone():
    figure = figures.accuracy_bars([result("dense")], "title")
    assert len(figure.axes) == 1


def test_a_figure_is_written_as_png_and_svg(tmp_path):
    figure = figures.accuracy_bars([result("dense")], "title")
    paths = figures.save(figure, tmp_path / "bars")
    assert [path.suffix for path in paths] == [".png", ".svg"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_the_table_has_means_and_deviations(capsys):
    rows = [result("set", 0, clean=0.4), result("set", 1, clean=0.6)]
    tables.show(rows)
    printed = capsys.readouterr().out
    assert "0.500 ± 0.141" in printed and "0.250 ± 0.000" in printed
