"""The paper's figures, in matplotlib.

Colours are those of Okabe and Ito, "Color Universal Design", which people with
any colour vision tell apart.
"""

import statistics
from pathlib import Path

from keras_snn.experiments.methods import METHODS
from keras_snn.files import written

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#666666"


def save(figure, path):
    """Writes a figure as PNG and SVG.

    Args:
        figure: A matplotlib figure.
        path: Where, without suffix.

    Returns:
        The paths written.
    """
    paths = [Path(f"{path}.{suffix}") for suffix in ("png", "svg")]
    for target in paths:
        with written(target) as temporary:
            figure.savefig(temporary, dpi=150, bbox_inches="tight")
    return paths


def accuracy_bars(results, title):
    """Clean and adversarial accuracy of each method, as in Figures 6 and 10.

    A panel for each data ratio and sparsity; bars are means over seeds, their
    whiskers standard deviations.

    Args:
        results: List of dicts, of `run_grid`.
        title: Of the figure.

    Returns:
        A matplotlib figure.
    """
    import matplotlib.pyplot as plt

    panels = _panels(results)
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(1.6 + 4.4 * len(panels), 3.6),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, ((ratio, sparsity), rows) in zip(
        axes[0], panels.items(), strict=True
    ):
        methods = [m for m in METHODS if any(r["method"] == m for r in rows)]
        for shift, name, label, colour in (
            (-0.2, "clean_accuracy", "Clean", BLUE),
            (0.2, "adversarial_accuracy", "Adversarial", ORANGE),
        ):
            values = [
                [100 * r[name] for r in rows if r["method"] == method]
                for method in methods
            ]
            bars = axis.bar(
                [place + shift for place in range(len(methods))],
                [statistics.fmean(v) for v in values],
                0.4,
                yerr=_spread(values),
                error_kw={"ecolor": GREY, "capsize": 2},
                label=label,
                color=colour,
            )
            axis.bar_label(bars, fmt="%.1f", fontsize=7, padding=1)
        axis.set_xticks(
            range(len(methods)), [METHODS[m].label for m in methods]
        )
        axis.set_title(
            f"data ratio {ratio:g}, sparsity {sparsity:g}", fontsize=10
        )
        axis.set_ylim(0, 109)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("Test accuracy (%)")
    figure.legend(
        *axes[0][0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    figure.suptitle(title, fontsize=11)
    plt.close(figure)
    return figure


def _spread(values):
    """Standard deviations over seeds; None where there is but one seed."""
    if not all(v[1:] for v in values):
        return None
    return [statistics.stdev(v) for v in values]


def _panels(results):
    """Results by (data ratio, sparsity); dense ones stand in each."""
    panels = {}
    for row in results:
        if row["method"] != "dense":
            key = (row["data_ratio"], row["requested_sparsity"])
            panels.setdefault(key, []).append(row)
    dense = [row for row in results if row["method"] == "dense"]
    if not panels:
        panels = {(row["data_ratio"], 0.0): [] for row in dense}
    for (ratio, _), rows in panels.items():
        rows += [row for row in dense if row["data_ratio"] == ratio]
    return panels
