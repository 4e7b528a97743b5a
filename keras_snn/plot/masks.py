"""Where the weights of a model are, and how far two models agree on it."""

import math

import numpy as np

from keras_snn.masking.mask_state import get_masks
from keras_snn.plot import axes as shared

_PIXELS = 128  # Of an image of a mask, across and down.


def masks(model, weights=None, *, title="Density across each kernel"):
    """The mask of every masked weight, as an image.

    A kernel is laid flat: inputs down (those of a convolution's places one
    after another), outputs across. A larger one is averaged over blocks, so
    that the colour is a density: white where there is no weight, dark where
    there are all. Empty rows and columns are dead inputs and units; SET's
    leave the corners of images empty, for instance.

    Args:
        model: A Keras model with masks, or a dict of path to mask, as
            `get_masks` returns it.
        weights: Paths of the weights to draw. Defaults to all.
        title: Of the figure.

    Returns:
        A matplotlib figure, a panel for each weight.

    Raises:
        ValueError: If the model has no masks, or a path is unknown.

    Example:

    ```python
    keras_snn.plot.masks(model, ["conv1/kernel"])
    ```
    """
    found = _masks_of(model)
    for path in weights or ():
        if path not in found:
            raise ValueError(
                "Argument `weights` must name masked weights. "
                f"Received: {path!r}; the masked weights are {list(found)}"
            )
    chosen = list(found) if weights is None else list(weights)
    figure, axes = shared.panel_axes(chosen, title)
    for axis, path in zip(axes, chosen, strict=True):
        image = axis.imshow(
            _blocks(found[path].reshape(-1, found[path].shape[-1])),
            aspect="auto",
            interpolation="nearest",
            cmap="Greys",
            vmin=0,
            vmax=1,
        )
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[["top", "right"]].set_visible(True)
    shared.label(axes, "outputs", "inputs")
    figure.colorbar(image, ax=axes, label="Density", shrink=0.8)
    return figure


def overlap(named, *, title="Overlap of masks"):
    """How far masks agree, each with each.

    The overlap of two is the number of weights that are active in both, by
    the number that are in either (Jaccard), over all masked weights together:
    1 where they are the same. Two random masks of density d come to
    d / (2 - d), which is beside it for a layer-wise equal d; more than that is
    agreement.

    Args:
        named: Dict of name to a Keras model with masks, or to a dict of path
            to mask; all with the same weights in the same order. Methods,
            seeds, or epochs.
        title: Of the figure.

    Returns:
        A matplotlib figure: a matrix, the overlap in each of its cells, and
        below it, in brackets, what chance gives at the two's layer densities.

    Raises:
        ValueError: If there are fewer than two, or their weights differ.

    Example:

    ```python
    keras_snn.plot.overlap({"SET": by_set, "SNIP": by_snip})
    ```
    """
    # By place: names that Keras gives count up with every layer of a process.
    found = {name: list(_masks_of(one).values()) for name, one in named.items()}
    _check_alike(found)
    names = list(found)
    figure, (axis,) = shared.panel_axes([""], title)
    matrix = np.array(
        [[_jaccard(found[a], found[b]) for b in names] for a in names]
    )
    image = axis.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    for down, a in enumerate(names):
        for across, b in enumerate(names):
            text = f"{matrix[down, across]:.2f}"
            if down != across:
                text += f"\n({_by_chance(found[a], found[b]):.2f})"
            dark = matrix[down, across] > 0.6
            axis.text(
                across,
                down,
                text,
                ha="center",
                va="center",
                fontsize=9,
                color="white" if dark else "black",
            )
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axis.set_yticks(range(len(names)), names)
    figure.colorbar(image, ax=axis, shrink=0.8)
    return figure


def _masks_of(one):
    """Masks by path; of a model, or as they are given."""
    if hasattr(one, "layers"):
        return get_masks(one)
    return {path: np.asarray(mask, bool) for path, mask in one.items()}


def _check_alike(found):
    shapes = {name: [m.shape for m in each] for name, each in found.items()}
    first, *others = list(shapes.values()) or [None]
    if not others or any(each != first for each in others):
        raise ValueError(
            "Argument `named` must hold two or more models with masked weights "
            "of the same shapes, or their masks cannot be compared. "
            f"Received: {shapes}"
        )


def _jaccard(a, b):
    both = sum(int((m & n).sum()) for m, n in zip(a, b, strict=True))
    either = sum(int((m | n).sum()) for m, n in zip(a, b, strict=True))
    return both / max(either, 1)


def _by_chance(a, b):
    """The overlap expected of random masks with the same counts a layer."""
    pairs = [(int(m.sum()), int(n.sum())) for m, n in zip(a, b, strict=True)]
    sizes = [mask.size for mask in a]
    both = sum(m * n / size for (m, n), size in zip(pairs, sizes, strict=True))
    return both / max(sum(m + n for m, n in pairs) - both, 1)


def _blocks(mask):
    """The density of blocks of a matrix, at most so many across and down."""
    rows, cols = (math.ceil(size / _PIXELS) for size in mask.shape)
    sums = mask.astype(np.float32)
    counts = np.ones_like(sums)
    for axis, size in enumerate((rows, cols)):
        at = np.arange(0, mask.shape[axis], size)
        sums = np.add.reduceat(sums, at, axis)
        counts = np.add.reduceat(counts, at, axis)
    return sums / counts
