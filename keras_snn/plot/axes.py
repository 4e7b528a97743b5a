"""What all figures share: panels, a legend, files."""

import math
import textwrap
from pathlib import Path

from keras_snn.extras import require
from keras_snn.files import written


def pyplot():
    """The matplotlib.pyplot module, imported only where a figure is drawn.

    Returns:
        The module.

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

    Example:

    ```python
    keras_snn.plot.save(keras_snn.plot.masks(model), "masks")
    ```
    """
    paths = [Path(f"{path}.{suffix}") for suffix in ("png", "svg")]
    for target in paths:
        with written(target) as temporary:
            figure.savefig(temporary, dpi=150, bbox_inches="tight")
    return paths


def panel_axes(titles, title, *, rows=None):
    """A figure with an axis for each panel.

    Args:
        titles: Of the panels, in order.
        title: Of the figure.
        rows: Lines of panels. Defaults to one for up to three panels, else to
            what makes the figure about square.

    Returns:
        `(figure, axes)`: the axes that are used, in a list.
    """
    plt = pyplot()
    count = len(titles)
    if rows is None:
        rows = 1 if count <= 3 else round(math.sqrt(count))
    cols = -(-count // rows)
    size = (4.4, 3.4) if rows == 1 else (3.6, 2.7)
    figure, axes = plt.subplots(
        rows,
        cols,
        figsize=(1 + size[0] * cols, 0.9 + size[1] * rows),
        squeeze=False,
        layout="constrained",
    )
    figure.suptitle(title, fontsize=11)
    plt.close(figure)
    every = list(axes.flat)
    for axis in every[count:]:
        axis.remove()
    for axis, text in zip(every, titles, strict=False):
        axis.set_title(textwrap.fill(text, int(12 * size[0])), fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, every[:count]


def label(axes, x, y):
    """Labels the outer axes of a figure of panels."""
    for axis in axes:
        spec = axis.get_subplotspec()
        cols = spec.get_gridspec().ncols
        if spec.is_first_col():
            axis.set_ylabel(y)
        below = axes.index(axis) + cols
        if below >= len(axes):
            axis.set_xlabel(x)


def legend(figure, axes):
    """One legend below all panels, of what any of them shows."""
    shown = {}
    for axis in axes:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            shown.setdefault(text, handle)
    if not shown:
        return figure
    made = figure.legend(
        shown.values(),
        shown.keys(),
        loc="outside lower center",
        ncols=min(6, len(shown)),
        frameon=False,
        fontsize=9,
    )
    for handle in made.legend_handles:
        if hasattr(handle, "set_sizes"):  # Bubbles, of whatever size.
            handle.set_sizes([40])
    return figure


def across(axis, style, text, mean, spread):
    """The dense network: a dashed line across, in a band."""
    axis.axhline(mean, color=style["color"], ls="--", lw=1.4, label=text)
    axis.axhspan(
        mean - spread, mean + spread, color=style["color"], alpha=0.13, lw=0
    )


def note(axis, text):
    """Small print in the upper right of a panel."""
    axis.text(
        0.97,
        0.95,
        text,
        transform=axis.transAxes,
        ha="right",
        va="top",
        fontsize=8,
    )


def name_rows(axis, names, most=24):
    """Names the rows of an image; where there are many, every n-th."""
    every = -(-len(names) // most)
    axis.set_yticks(range(0, len(names), every), names[::every], fontsize=8)


def scale(figure, axis, text, names):
    """A scale of colours from the first of many lines to the last."""
    plt = pyplot()
    shown = plt.cm.ScalarMappable(plt.Normalize(1, len(names)), "viridis_r")
    bar = figure.colorbar(shown, ax=axis, label=text)
    bar.ax.yaxis.get_major_locator().set_params(integer=True)
    return figure
