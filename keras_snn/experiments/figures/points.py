"""Accuracy of each method, side by side: Figures 6, 8 (a, b), 10, 13, 14."""

from keras_snn.experiments.grouping import accuracies
from keras_snn.experiments.grouping import mean_and_deviation
from keras_snn.experiments.grouping import panels
from keras_snn.experiments.grouping import series
from keras_snn.plot import axes as shared


def accuracy_points(results, title):
    """Accuracy of each method, side by side: Figures 6, 8 (a, b), 10, 13, 14.

    A column of panels for each setting, such as the data ratio, and a line of
    panels for each accuracy that was measured, clean and adversarial. In a
    panel: the mean over seeds, in whiskers of one standard deviation, with the
    single seeds beside it; of several sparsities the higher ones are lighter.
    The dense network is a dashed line across. Points, not bars: bars begin at
    zero, where differences of a percent are not seen.

    Args:
        results: List of rows.
        title: Of the figure.

    Returns:
        A matplotlib figure.
    """
    found = panels(results)
    kinds = accuracies(results) or {"clean_accuracy": "Clean"}
    titles = [
        text if len(kinds) == 1 else f"{kind}: {text}"
        for kind in kinds.values()
        for text in found
    ]
    figure, axes = shared.panel_axes(titles, title, rows=len(kinds))
    places = iter(axes)
    for name in kinds:
        for rows in found.values():
            _panel(next(places), rows, name)
    shared.label(axes, "", "Test accuracy (%)")
    return shared.legend(figure, axes)


def _panel(axis, rows, name):
    rows = [row for row in rows if name in row]
    lines = series(rows)
    sparsities = sorted(
        {r["requested_sparsity"] for r in rows if r["method"] != "dense"}
    )
    slots = [line for line in lines if line.method != "dense"]
    for line in lines:
        if line.method == "dense":
            mean, spread = mean_and_deviation(line.rows, name)
            shared.across(
                axis, line.style, line.label, 100 * mean, 100 * spread
            )
    for slot, line in enumerate(slots):
        for sparsity, group in line.by_sparsity().items():
            step = sparsities.index(sparsity)
            shift = 0.5 * ((step + 0.5) / len(sparsities) - 0.5)
            alpha = _shade(step, sparsities)
            mean, spread = (100 * n for n in mean_and_deviation(group, name))
            colour, marker = line.style["color"], line.style["marker"]
            axis.errorbar(
                slot + shift,
                mean,
                yerr=spread or None,
                color=colour,
                marker=marker,
                ms=7,
                capsize=3,
                alpha=alpha,
            )
            axis.plot(
                [slot + shift + 0.12] * len(group),
                [100 * row[name] for row in group],
                ls="",
                marker=".",
                ms=3,
                color=colour,
                alpha=0.5,
            )
            if len(sparsities) == 1:
                axis.annotate(
                    f"{mean:.1f}",
                    (slot + shift, mean),
                    (-8, 0),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    fontsize=7,
                )
    for step, sparsity in enumerate(sparsities if sparsities[1:] else ()):
        axis.plot(
            [],
            [],
            ls="",
            marker="o",
            ms=7,
            color="#444444",
            alpha=_shade(step, sparsities),
            label=f"Sparsity {sparsity:g}",
        )
    labels = [line.label.replace(" ", "\n") for line in slots]
    axis.set_xticks(range(len(slots)), labels, fontsize=8)
    axis.set_xlim(-0.7, max(0.5, len(slots) - 0.4))
    axis.margins(y=0.15)


def _shade(step, sparsities):
    """Opacity: the higher of several sparsities are lighter."""
    return 1 - 0.6 * step / max(1, len(sparsities) - 1)
