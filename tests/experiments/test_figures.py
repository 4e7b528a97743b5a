import numpy as np
import pytest

from keras_snn.experiments import figures
from keras_snn.experiments import tables
from keras_snn.experiments.grouping import panels

pytestmark = pytest.mark.once


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
        "trial": f"{method}-{sparsity}-{seed}",
        "active_parameters": 1000,
        "training_flops": 1e9 * (2 - sparsity),
        "layer_densities": {}
        if method == "dense"
        else {"conv1/kernel": 1.0, "conv2/kernel": 0.5, "fc/kernel": 0.1},
        "seconds": 1.0,
    }


def test_points_stand_in_a_panel_for_each_setting_and_accuracy():
    rows = [
        result(method, seed, ratio, sparsity, clean=0.5 + seed / 50)
        for ratio in (1.0, 0.5)
        for sparsity in (0.9, 0.8)
        for method in ("dense", "set", "snip")
        for seed in (0, 1)
    ]
    figure = figures.accuracy_points(rows, "title")
    assert [axis.get_title() for axis in figure.axes] == [
        "Clean: data ratio 1",
        "Clean: data ratio 0.5",
        "Adversarial: data ratio 1",
        "Adversarial: data ratio 0.5",
    ]
    for axis in figure.axes:
        labels = [label.get_text() for label in axis.get_xticklabels()]
        assert labels == ["SNIP", "SET"]
        # Of each method a mean at each sparsity; dense is across.
        assert len(axis.containers) == 4
        low, high = axis.get_ylim()
        assert high - low < 10  # Differences of a percent are seen.
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.texts]
    assert texts == ["Dense", "Sparsity 0.8", "Sparsity 0.9"]


def test_points_of_the_dense_network_alone():
    rows = [result("dense")]
    del rows[0]["adversarial_accuracy"]
    figure = figures.accuracy_points(rows, "title")
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


def test_a_title_says_what_matters_to_its_samples():
    rows = [
        result("set") | {"hard": hard, "el2n_epoch": epoch, "subset": subset}
        for hard, epoch, subset in (
            ("el2n", 2, "hardest"),
            ("el2n", 2, "easiest"),
            ("none", 20, "hardest"),
        )
    ]
    found = [title.partition("hard ")[2] for title in panels(rows)]
    assert found == [
        "el2n, EL2N epoch 2, subset hardest",
        "el2n, EL2N epoch 2, subset easiest",
        "none",
    ]
    for axis in figures.density_lines(rows, "title").axes:
        assert max(map(len, axis.get_title().split("\n"))) <= 52


def test_many_panels_make_a_grid_each_with_its_own_axis():
    rows = [
        result(method, ratio=ratio / 10, clean=ratio / 10)
        for ratio in range(1, 10)
        for method in ("dense", "set")
    ]
    figure = figures.accuracy_lines(rows, "title")
    assert len(figure.axes) == 9
    assert figure.axes[0].get_gridspec().get_geometry() == (3, 3)
    limits = {axis.get_ylim() for axis in figure.axes}
    assert len(limits) == 9
    assert [bool(a.get_xlabel()) for a in figure.axes] == [False] * 6 + [
        True
    ] * 3
    assert len(figure.legends) == 1


def test_settings_of_one_method_are_lines_of_their_own():
    rows = [result("set") | {"interval": n} for n in (1, 4)]
    rows.append(result("dense") | {"interval": 4})
    (axis,) = figures.accuracy_lines(rows, "title").axes
    labels = set(lines_of(axis))
    assert labels == {"Dense", "SET, interval 1", "SET, interval 4"}


def test_severities_are_never_averaged():
    rows = [result("set", severity=s, clean=c) for s, c in SEVERE.items()]
    text = tables.text(rows)
    assert [line.split()[-4] for line in text.splitlines()[3:6]] == [
        "0.600",
        "0.400",
        "0.200",
    ]
    assert "±" not in text
    for draw in (figures.accuracy_points, figures.density_lines):
        shown = {axis.get_title() for axis in draw(rows, "title").axes}
        for severity in SEVERE:
            assert any(f"severity {severity}" in title for title in shown)


SEVERE = {2: 0.6, 4: 0.4, 6: 0.2}


def test_failed_trials_are_named_and_not_drawn():
    failed = {"trial": "snip-0.9", "method": "snip", "error": "NaN: so it is"}
    rows = [result("set"), failed]
    assert "Failed: snip-0.9: NaN: so it is" in tables.text(rows)
    for draw in figures.FIGURES.values():
        figure = draw(rows, "title")
        (legend,) = figure.legends or [None]
        texts = [t.get_text() for t in legend.texts] if legend else []
        assert "SNIP" not in texts


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


def test_bubbles_are_of_the_best_five_sparsities_of_each_method():
    rows = [
        result(method, seed, sparsity=n / 10, clean=abs(n - 3) / 10)
        for n in range(1, 10)
        for method in ("set", "snip")
        for seed in (0, 1)
    ]
    (axis,) = figures.flops_bubbles(rows, "title").axes
    shown = [text.get_text() for text in axis.texts]
    best = ["0.1", "0.6", "0.7", "0.8", "0.9"]
    assert shown == best * 2


def test_example_images_stand_in_lines(tmp_path):
    lines = {"a": np.zeros((2, 4, 4, 3)), "b": np.ones((3, 4, 4, 3))}
    groups = {"low": lines, "high": lines}
    figure = figures.example_images(groups, "title")
    assert len(figure.axes) == 12
    assert sum(len(axis.images) for axis in figure.axes) == 10
    figures.save(figure, tmp_path / "images")


def test_a_figure_is_written_as_png_and_svg(tmp_path):
    figure = figures.accuracy_points([result("dense")], "title")
    paths = figures.save(figure, tmp_path / "bars")
    assert [path.suffix for path in paths] == [".png", ".svg"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_the_table_has_means_and_deviations():
    rows = [result("set", 0, clean=0.4), result("set", 1, clean=0.6)]
    printed = tables.text(rows)
    assert "0.500 ± 0.141" in printed and "0.250 ± 0.000" in printed
