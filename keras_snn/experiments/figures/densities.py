"""Density of each convolution, from the first on: Figures 7, 11 and 12."""

import statistics

from keras_snn.experiments.grouping import panels
from keras_snn.experiments.grouping import series
from keras_snn.plot import axes as shared


def density_lines(results, title):
    """Density of each convolution, from the first on: Figures 7, 11 and 12.

    A panel for each setting and sparsity; means over seeds. The dense network,
    whose densities are all 1, is not drawn.

    Args:
        results: List of rows with `layer_densities`.
        title: Of the figure.

    Returns:
        A matplotlib figure.
    """
    found = panels(results, by_sparsity=True)
    figure, axes = shared.panel_axes(list(found), title)
    for axis, rows in zip(axes, found.values(), strict=True):
        for line in series(rows):
            if line.method == "dense":
                continue
            densities = [row["layer_densities"] for row in line.rows]
            layers = _convolutions(densities[0])
            axis.plot(
                range(1, len(layers) + 1),
                [
                    statistics.fmean(d[name] for d in densities)
                    for name in layers
                ],
                ms=4,
                lw=1.2,
                label=line.label,
                **line.style,
            )
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_ylim(-0.03, 1.05)
    shared.label(axes, "Convolution, from the input on", "Density")
    return shared.legend(figure, axes)


def _convolutions(densities):
    """By their names; all kernels where a network names them otherwise."""
    named = [path for path in densities if "conv" in path or "shortcut" in path]
    return named or list(densities)
