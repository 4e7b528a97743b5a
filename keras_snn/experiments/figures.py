"""The paper's figures, in matplotlib.

Each takes rows of results, as `run_grid` returns them, and gives a matplotlib
figure. Colours are those of Okabe and Ito, "Color Universal Design", which
people with any colour vision tell apart; markers tell methods apart as well.
"""

import statistics
from pathlib import Path

from keras_snn.experiments.methods import METHODS
from keras_snn.extras import require
from keras_snn.files import written

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#666666"
STYLES = {
    "dense": ("#000000", "o"),
    "snip": ("#0072B2", "o"),
    "set": ("#D55E00", "s"),
    "gmp": ("#009E73", "^"),
    "omp": ("#CC79A7", "D"),
    "lth": ("#E69F00", "v"),
    "omp_erk": ("#56B4E9", "P"),
    "random": ("#7A7A00", "X"),
    "uniform": ("#999999", "*"),
    "rigl": ("#8C564B", "h"),
    "synflow": ("#332288", "d"),
}


def pyplot():
    """The matplotlib.pyplot module, imported only where a figure is drawn.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    return require("matplotlib.pyplot", "A figure")


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


def accuracy_lines(results, title):
    """Test accuracy by sparsity: Figures 2, 3, 4, 5 and 9.

    A panel for each data ratio and severity; a line for each method: the mean
    over seeds, in a band of one standard deviation. The dense network is a
    dashed line across.

    Args:
        results: List of dicts.
        title: Of the figure.
    """
    panels = _panels(results, "data_ratio", "severity")
    figure, axes = _axes(len(panels), title)
    for axis, (setting, rows) in zip(axes, panels.items(), strict=True):
        for method in _methods(rows):
            groups = _groups(rows, method)
            means, spreads = _statistics(groups.values(), "clean_accuracy")
            where = list(groups)
            colour, marker = STYLES[method]
            style = {"color": colour, "label": METHODS[method].label}
            if method == "dense":  # It has no sparsity: a line across.
                where, means, spreads = [0, 1], means * 2, spreads * 2
                style |= {"ls": "--", "transform": axis.get_yaxis_transform()}
            else:
                style |= {"marker": marker, "ms": 4}
            axis.plot(where, means, lw=1.4, **style)
            axis.fill_between(
                where,
                [m - s for m, s in zip(means, spreads, strict=True)],
                [m + s for m, s in zip(means, spreads, strict=True)],
                color=colour,
                alpha=0.13,
                lw=0,
                transform=style.get("transform", axis.transData),
            )
        axis.set_title(_setting(setting, panels), fontsize=10)
        axis.set_xlabel("Sparsity")
    axes[0].set_ylabel("Test accuracy (%)")
    return _finished(figure, axes)


def accuracy_bars(results, title):
    """Accuracy of each method as bars: Figures 6, 10, 8 (a, b), 13 and 14.

    A panel for each data ratio and sparsity; clean accuracy and, where it was
    measured, adversarial; means over seeds, whiskers of one standard deviation.

    Args:
        results: List of dicts.
        title: Of the figure.
    """
    kinds = [("clean_accuracy", "Clean", BLUE)]
    if any("adversarial_accuracy" in row for row in results):
        kinds.append(("adversarial_accuracy", "Adversarial", ORANGE))
    panels = _panels(results, "data_ratio", "requested_sparsity")
    figure, axes = _axes(len(panels), title)
    width = 0.8 / len(kinds)
    for axis, (setting, rows) in zip(axes, panels.items(), strict=True):
        methods = _methods(rows)
        for number, (name, label, colour) in enumerate(kinds):
            groups = [[r for r in rows if r["method"] == m] for m in methods]
            means, spreads = _statistics(groups, name)
            shift = (number - (len(kinds) - 1) / 2) * width
            bars = axis.bar(
                [place + shift for place in range(len(methods))],
                means,
                width,
                yerr=spreads if any(spreads) else None,
                error_kw={"ecolor": GREY, "capsize": 2},
                label=label,
                color=colour,
            )
            axis.bar_label(bars, fmt="%.1f", fontsize=7, padding=1)
        labels = [METHODS[m].label.replace(" ", "\n") for m in methods]
        axis.set_xticks(range(len(methods)), labels, fontsize=8)
        axis.set_title(_setting(setting, panels), fontsize=10)
        axis.set_ylim(0, 109)
    axes[0].set_ylabel("Test accuracy (%)")
    return _finished(figure, axes)


def density_lines(results, title):
    """Density of each convolution, from the first on: Figures 7, 11 and 12.

    A panel for each data ratio and sparsity; means over seeds. The dense
    network, whose densities are all 1, is not drawn.

    Args:
        results: List of dicts with `layer_densities`.
        title: Of the figure.
    """
    panels = _panels(results, "data_ratio", "requested_sparsity")
    figure, axes = _axes(len(panels), title)
    for axis, (setting, rows) in zip(axes, panels.items(), strict=True):
        for method in _methods([r for r in rows if r["method"] != "dense"]):
            found = [
                r["layer_densities"] for r in rows if r["method"] == method
            ]
            layers = [p for p in found[0] if "conv" in p or "shortcut" in p]
            colour, marker = STYLES[method]
            axis.plot(
                range(1, len(layers) + 1),
                [statistics.fmean(d[layer] for d in found) for layer in layers],
                marker=marker,
                ms=4,
                lw=1.2,
                color=colour,
                label=METHODS[method].label,
            )
        axis.set_title(_setting(setting, panels), fontsize=10)
        axis.set_xlabel("Convolution, from the input on")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_ylim(-0.03, 1.05)
    axes[0].set_ylabel("Density")
    return _finished(figure, axes)


def flops_bubbles(results, title):
    """Accuracy by training FLOPs, bubbles by parameters: Figure 8 (c, d).

    A bubble for each method and sparsity; its area is in proportion to the
    active parameters.

    Args:
        results: List of dicts with `training_flops`.
        title: Of the figure.
    """
    panels = _panels(results, "data_ratio")
    figure, axes = _axes(len(panels), title)
    largest = max(row["active_parameters"] for row in results)
    for axis, (setting, rows) in zip(axes, panels.items(), strict=True):
        for method in _methods(rows):
            groups = _groups(rows, method).values()
            axis.scatter(
                [_mean(group, "training_flops") for group in groups],
                _statistics(groups, "clean_accuracy")[0],
                s=[
                    400 * _mean(group, "active_parameters") / largest
                    for group in groups
                ],
                color=STYLES[method][0],
                alpha=0.6,
                edgecolor="white",
                label=METHODS[method].label,
            )
        axis.set_title(_setting(setting, panels), fontsize=10)
        axis.set_xscale("log")
        axis.set_xlabel("Training FLOPs")
    axes[0].set_ylabel("Test accuracy (%)")
    return _finished(figure, axes)


def example_images(groups, title):
    """Images in labelled lines, in groups side by side: Figure 1.

    Args:
        groups: Dict of heading to a dict of line to array of images in
            [0, 1], of shape (images, rows, cols, 3). All groups have the same
            lines.
        title: Of the figure.
    """
    plt = pyplot()
    lines = list(next(iter(groups.values())))
    most = max(len(i) for group in groups.values() for i in group.values())
    figure = plt.figure(
        figsize=(0.75 * most * len(groups) + 1.5, 0.75 * len(lines) + 1),
        layout="constrained",
    )
    parts = figure.subfigures(1, len(groups), squeeze=False, wspace=0.05)[0]
    for part, (heading, group) in zip(parts, groups.items(), strict=True):
        part.suptitle(heading, fontsize=10)
        axes = part.subplots(len(lines), most, squeeze=False)
        for row, line in zip(axes, lines, strict=True):
            for axis in row:
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
            for axis, image in zip(row, group[line], strict=False):
                axis.imshow(image, vmin=0, vmax=1)
            row[0].set_ylabel(line, rotation=0, ha="right", va="center")
    figure.suptitle(title, fontsize=11)
    plt.close(figure)
    return figure


def _panels(results, *names):
    """Rows by the values of some columns; dense ones stand in each."""
    sparsities = "requested_sparsity" in names
    panels = {}
    for row in results:
        if row["method"] != "dense" or not sparsities:
            key = tuple((name, row[name]) for name in names)
            panels.setdefault(key, []).append(row)
    dense = [row for row in results if row["method"] == "dense"]
    if not panels:
        return {tuple((name, dense[0][name]) for name in names): dense}
    for key, rows in panels.items() if sparsities else ():
        same = [item for item in key if item[0] != "requested_sparsity"]
        rows += [r for r in dense if all(r[name] == v for name, v in same)]
    return panels


def _setting(key, panels):
    """What a panel is of, as a title; the severity where there are several."""
    names = {
        "data_ratio": "data ratio",
        "requested_sparsity": "sparsity",
        "severity": "severity",
    }
    return ", ".join(
        f"{names[name]} {value:g}"
        for place, (name, value) in enumerate(key)
        if name != "severity" or len({other[place] for other in panels}) > 1
    )


def _methods(rows):
    return [m for m in METHODS if any(row["method"] == m for row in rows)]


def _groups(rows, method):
    """The rows of a method by sparsity, in order."""
    groups = {}
    for row in sorted(rows, key=lambda row: row["requested_sparsity"]):
        if row["method"] == method:
            groups.setdefault(row["requested_sparsity"], []).append(row)
    return groups


def _mean(rows, name):
    return statistics.fmean(row[name] for row in rows)


def _statistics(groups, name):
    """Means and standard deviations of a share, in per cent."""
    values = [[100 * row[name] for row in rows] for rows in groups]
    means = [statistics.fmean(v) for v in values]
    return means, [statistics.stdev(v) if v[1:] else 0.0 for v in values]


def _axes(count, title):
    plt = pyplot()

    figure, axes = plt.subplots(
        1,
        count,
        figsize=(1.6 + 4.4 * count, 3.6),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    figure.suptitle(title, fontsize=11)
    plt.close(figure)
    return figure, list(axes[0])


def _finished(figure, axes):
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    legend = figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=6,
        frameon=False,
        fontsize=9,
    )
    for handle in legend.legend_handles:
        if hasattr(handle, "set_sizes"):  # Bubbles, of whatever size.
            handle.set_sizes([40])
    return figure
