"""What active weights are, and what the loss makes of inactive ones."""

import numpy as np

from keras_snn.gradients.of_masked import dense_gradients
from keras_snn.masking.mask_state import masked_weights
from keras_snn.plot import axes as shared


def weights(model, *, bins=50, title="Active weights"):
    """A histogram of the active weights of every masked weight.

    Args:
        model: A Keras model with masks.
        bins: Bars of each histogram.
        title: Of the figure.

    Returns:
        A matplotlib figure, a panel for each masked weight, with its density
        and its standard deviation; inactive weights are not counted.

    Raises:
        ValueError: If the model has no masks.

    Example:

    ```python
    keras_snn.plot.weights(model)
    ```
    """
    found = masked_weights(model)
    values = {p: m.weight_array()[m.mask_array()] for p, m in found.items()}
    figure, axes = shared.panel_axes(list(found), title)
    for axis, (path, masked) in zip(axes, found.items(), strict=True):
        active = values[path]
        axis.hist(active, bins=bins, color="C0")
        axis.axvline(0, color="0.4", lw=0.8)
        density = active.size / masked.mask_array().size
        shared.note(axis, f"density {density:.3g}\nstd {active.std():.3g}")
    shared.label(axes, "Weight", "Number")
    return figure


def saliency(model, x, y, loss=None, *, bins=50, title=None):
    """How much the loss asks for what is pruned, beside what is kept.

    The magnitude of the loss's gradient by every masked weight, which is what
    RigL grows by (https://arxiv.org/abs/1911.11134): where inactive weights
    reach as far right as active ones, the mask leaves out what would help.

    Args:
        model: A Keras model with masks.
        x: A batch of inputs.
        y: Its targets.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        bins: Bars of each histogram.
        title: Of the figure.

    Returns:
        A matplotlib figure, a panel for each masked weight: the share of
        active, and of inactive weights by the magnitude of their gradient, on
        a logarithmic scale. Gradients of exactly 0 are not drawn.

    Raises:
        ValueError: If the model has no masks, or no loss is known.

    Example:

    ```python
    keras_snn.plot.saliency(model, x_train[:128], y_train[:128])
    ```
    """
    found = masked_weights(model)
    gradients = dense_gradients(model, found, x, y, loss, training=False)
    figure, axes = shared.panel_axes(
        list(found), title or "Gradient of the loss by each weight"
    )
    for axis, (path, masked) in zip(axes, found.items(), strict=True):
        size, mask = np.abs(gradients[path]), masked.mask_array()
        if not (size > 0).any():
            shared.note(axis, "no gradient")
            continue
        ends = np.log10([size[size > 0].min(), size.max()])
        edges = np.logspace(ends[0], ends[1] + 1e-6, bins + 1)
        for chosen, color, text in (
            (mask, "C0", "active"),
            (~mask, "C3", "inactive"),
        ):
            shown = size[chosen & (size > 0)]
            axis.hist(
                shown,
                edges,
                weights=np.full(shown.size, 1 / max(shown.size, 1)),
                histtype="stepfilled",
                alpha=0.5,
                color=color,
                label=text,
            )
        axis.set_xscale("log")
    shared.label(axes, "Magnitude of the gradient", "Share")
    return shared.legend(figure, axes)
