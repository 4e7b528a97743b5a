"""How far corruptions of images raise a network's error."""

import numpy as np

from keras_snn.plot import axes as shared


def corruption_errors(found, *, title="Error under corruptions (%)"):
    """The error by corruption and severity, as a heat map.

    Args:
        found: A `CorruptionErrors` of `keras_snn.corruptions`, or a dict of
            names to them, of several networks, on one scale of colours.
        title: Of the figure.

    Returns:
        A matplotlib figure, a panel for each network.

    Raises:
        ValueError: If there is no network.

    Example:

    ```python
    keras_snn.plot.corruption_errors({"dense": dense, "SET": sparse})
    ```
    """
    named = found if isinstance(found, dict) else {"": found}
    if not named:
        raise ValueError(
            "Argument `found` must hold errors of a network, or there is "
            "nothing to draw. Received: an empty dict"
        )
    titles = [
        f"{name} (clean {100 * e.clean:.1f})" for name, e in named.items()
    ]
    figure, axes = shared.panel_axes([t.strip() for t in titles], title)
    for axis, each in zip(axes, named.values(), strict=True):
        image = axis.imshow(
            100 * each.errors, aspect="auto", cmap="Reds", vmin=0, vmax=100
        )
        for (row, column), error in zip(
            np.ndindex(each.errors.shape), each.errors.flat, strict=True
        ):
            axis.text(
                column,
                row,
                f"{100 * error:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if error > 0.6 else "black",
            )
        axis.set_xticks(range(len(each.severities)), each.severities)
        names = [name.replace("_", " ") for name in each.corruptions]
        shared.name_rows(axis, names)
    shared.label(axes, "Severity", "")
    figure.colorbar(image, ax=axes, label="Error (%)", shrink=0.8)
    return figure
