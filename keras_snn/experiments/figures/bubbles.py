"""Accuracy by training FLOPs, bubbles by parameters: Figure 8 (c, d)."""

from keras_snn.experiments.grouping import mean_and_deviation
from keras_snn.experiments.grouping import panels
from keras_snn.experiments.grouping import series
from keras_snn.plot import axes as shared

BEST = 5


def flops_bubbles(results, title):
    """Accuracy by training FLOPs, bubbles by parameters: Figure 8 (c, d).

    A bubble for each method and sparsity, of which each method shows the five
    of the best accuracy; its area is in proportion to the active parameters,
    and beside it stands the sparsity.

    Args:
        results: List of rows with `training_flops`.
        title: Of the figure.

    Returns:
        A matplotlib figure.
    """
    found = panels(results)
    figure, axes = shared.panel_axes(list(found), title)
    most = max(
        (row["active_parameters"] for rows in found.values() for row in rows),
        default=1,
    )
    for axis, rows in zip(axes, found.values(), strict=True):
        for line in series(rows):
            bubbles = best(line)
            axis.scatter(
                [flops for _, flops, _, _ in bubbles],
                [100 * accuracy for _, _, accuracy, _ in bubbles],
                s=[400 * active / most for *_, active in bubbles],
                color=line.style["color"],
                alpha=0.6,
                edgecolor="white",
                label=line.label,
            )
            for sparsity, flops, accuracy, _ in bubbles:
                if line.method != "dense":
                    axis.annotate(
                        f"{sparsity:g}",
                        (flops, 100 * accuracy),
                        ha="center",
                        va="center",
                        fontsize=6,
                    )
        axis.set_xscale("log", subs=[])
        axis.xaxis.get_major_locator().set_params(subs=[1, 2, 5])
        axis.xaxis.set_major_formatter("{x:.0e}")
        axis.margins(0.12)
    shared.label(axes, "Training FLOPs", "Test accuracy (%)")
    return shared.legend(figure, axes)


def best(line):
    """The five sparsities of a series with the best mean accuracy, in order.

    Args:
        line: A `Series`.

    Returns:
        A list of `(sparsity, training FLOPs, accuracy, active parameters)`.
    """
    names = ("training_flops", "clean_accuracy", "active_parameters")
    found = [
        (sparsity, *(mean_and_deviation(rows, name)[0] for name in names))
        for sparsity, rows in line.by_sparsity().items()
    ]
    ranked = sorted(found, key=lambda bubble: -bubble[2])
    return sorted(ranked[:BEST])
