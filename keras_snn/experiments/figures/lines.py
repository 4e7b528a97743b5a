"""Test accuracy by sparsity: Figures 2, 3, 4, 5 and 9."""

from keras_snn.experiments.grouping import mean_and_deviation
from keras_snn.experiments.grouping import panels
from keras_snn.experiments.grouping import series
from keras_snn.plot import axes as shared


def accuracy_lines(results, title):
    """Test accuracy by sparsity: Figures 2, 3, 4, 5 and 9.

    A panel for each setting, such as data ratio and severity, with an axis of
    its own, so that differences are seen; a line for each method: the mean
    over seeds, in a band of one standard deviation. The dense network is a
    dashed line across.

    Args:
        results: List of rows.
        title: Of the figure.

    Returns:
        A matplotlib figure.
    """
    found = panels(results)
    figure, axes = shared.panel_axes(list(found), title)
    for axis, rows in zip(axes, found.values(), strict=True):
        for line in series(rows):
            groups = line.by_sparsity()
            points = [
                [100 * n for n in mean_and_deviation(group, "clean_accuracy")]
                for group in groups.values()
            ]
            if line.method == "dense":
                shared.across(axis, line.style, line.label, *points[0])
                continue
            axis.plot(
                list(groups),
                [mean for mean, _ in points],
                lw=1.4,
                ms=4,
                label=line.label,
                **line.style,
            )
            axis.fill_between(
                list(groups),
                [mean - spread for mean, spread in points],
                [mean + spread for mean, spread in points],
                color=line.style["color"],
                alpha=0.13,
                lw=0,
            )
    shared.label(axes, "Sparsity", "Test accuracy (%)")
    return shared.legend(figure, axes)
