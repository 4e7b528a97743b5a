import numpy as np
import pytest

from keras_snn.experiments import figures
from keras_snn.experiments import tables

pytestmark = pytest.mark.numpy


def result(
    method,
    seed=0,
    ratio=1.0,
    sparsity=0.9,
    clean=0.5,
    attacked=0.25,
    severity=5,
):
    return {
        "method": method,
        "seed": seed,
        "data_ratio": ratio,
        "severity": severity,
        "requested_sparsity": 0.0 if method == "dense" else sparsity,
        "sparsity": 0.0 if method == "dense" else sparsity,
        "clean_accuracy": clean,
        "adversarial_accuracy": attacked,
        "active_parameters": 1000,
        "training_flops": 1e9 * (2 - sparsity),
        "layer_densities": {}
        if method == "dense"
        else {"conv1/kernel": 1.0, "conv2/kernel": 0.5, "fc/kernel": 0.1},
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


def lines_of(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def test_lines_with_the_dense_network_across():
    rows = [
        result(method, seed, sparsity=sparsity, clean=0.1 * seed + sparsity / 2)
        for sparsity in (0.9, 0.5)
        for method in ("dense", "set", "snip")
        for seed in (0, 1)
    ]
    (axis,) = figures.accuracy_lines(rows, "title").axes
    lines = lines_of(axis)
    assert set(lines) == {"Dense", "SET", "SNIP"}
    assert lines["SET"].get_xdata().tolist() == [0.5, 0.9]
    assert lines["SET"].get_ydata() == pytest.approx([30, 50])
    assert lines["Dense"].get_ydata() == pytest.approx([40, 40])
    assert axis.get_title() == "data ratio 1"


def test_a_panel_for_each_severity():
    rows = [result("set", severity=s) for s in (2, 4, 6)]
    figure = figures.accuracy_lines(rows, "title")
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [f"data ratio 1, severity {s}" for s in (2, 4, 6)]


def test_density_lines_are_of_convolutions_from_the_first_on():
    rows = [result(m) for m in ("dense", "set")]
    (axis,) = figures.density_lines(rows, "title").axes
    lines = lines_of(axis)
    assert set(lines) == {"SET"}
    assert lines["SET"].get_ydata().tolist() == [1.0, 0.5]


def test_bubbles_are_as_large_as_their_parameters():
    rows = [result("set", sparsity=s) for s in (0.5, 0.9)]
    rows[1]["active_parameters"] = 500
    (axis,) = figures.flops_bubbles(rows, "title").axes
    (bubbles,) = axis.collections
    assert bubbles.get_sizes().tolist() == [400, 200]
    assert bubbles.get_offsets()[:, 0].tolist() == pytest.approx([1.5e9, 1.1e9])


def test_example_images_stand_in_lines(tmp_path):
    lines = {"a": np.zeros((2, 4, 4, 3)), "b": np.ones((3, 4, 4, 3))}
    groups = {"low": lines, "high": lines}
    figure = figures.example_images(groups, "title")
    assert len(figure.axes) == 12
    assert sum(len(axis.images) for axis in figure.axes) == 10
    figures.save(figure, tmp_path / "images")


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
