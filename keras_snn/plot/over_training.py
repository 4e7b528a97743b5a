"""What masks did during training, from a `MaskLog`."""

import numpy as np

from keras_snn.plot import axes as shared

_NAMED = 10  # More lines than there are colours cannot be told apart.


def densities(log, *, title="Density of each weight"):
    """The density of every masked weight by epoch.

    Beyond ten weights they are coloured from the first to the last, light to
    dark, and not named one by one.

    Args:
        log: A `MaskLog` that was in a `fit`.
        title: Of the figure.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If the log has no rows.

    Example:

    ```python
    update, log = keras_snn.SETUpdate(), keras_snn.MaskLog()
    model.fit(x, y, epochs=20, callbacks=[update, log])
    keras_snn.plot.densities(log)
    ```
    """
    epochs, weights, found = _table(
        log, lambda row: row["active"] / row["size"]
    )
    colors = _colors(len(weights))
    figure, (axis,) = shared.panel_axes([""], title)
    for weight, line, color in zip(weights, found, colors, strict=True):
        axis.plot(epochs, line, color=color, lw=1.4, label=weight)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_ylim(-0.03, 1.05)
    shared.label([axis], "Epoch", "Density")
    if len(weights) > _NAMED:
        return shared.scale(figure, axis, "Weight, from the input on", weights)
    return shared.legend(figure, [axis])


def moved(log, *, title="Share of active weights that are new"):
    """How much of every masked weight moved in each epoch, as a heat map.

    Args:
        log: A `MaskLog` that was in a `fit`.
        title: Of the figure.

    Returns:
        A matplotlib figure: epochs across, weights down, from the input on;
        the colour is the share of active weights that were not active an epoch
        before, in [0, 1].

    Raises:
        ValueError: If the log has no epoch of training.

    Example:

    ```python
    keras_snn.plot.moved(log)
    ```
    """
    epochs, weights, found = _table(
        log, lambda row: row["grown"] / max(row["active"], 1), first=1
    )
    figure, (axis,) = shared.panel_axes([""], title)
    image = axis.imshow(
        found,
        aspect="auto",
        interpolation="nearest",
        cmap="viridis",
        extent=(epochs[0] - 0.5, epochs[-1] + 0.5, len(weights) - 0.5, -0.5),
    )
    axis.xaxis.get_major_locator().set_params(integer=True)
    shared.name_rows(axis, weights)
    axis.set_xlabel("Epoch")
    figure.colorbar(image, ax=axis)
    return figure


def _table(log, value, first=0):
    """Epochs, paths, and a value of each row: an array (weights, epochs)."""
    rows = [row for row in log.rows if row["epoch"] >= first]
    if not rows:
        raise ValueError(
            "Argument `log` must be a `MaskLog` that was in a `fit`, or there "
            "is nothing to draw. Received: a log without epochs"
        )
    epochs = sorted({row["epoch"] for row in rows})
    weights = list(dict.fromkeys(row["weight"] for row in rows))
    found = np.full((len(weights), len(epochs)), np.nan)
    for row in rows:
        place = weights.index(row["weight"]), epochs.index(row["epoch"])
        found[place] = value(row)
    return epochs, weights, found


def _colors(count):
    plt = shared.pyplot()
    if count <= _NAMED:
        return [f"C{n}" for n in range(count)]
    return plt.get_cmap("viridis_r")(np.linspace(0, 1, count))
