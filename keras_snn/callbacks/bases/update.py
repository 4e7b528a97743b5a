"""A masked weight in the midst of a mask update, as a method sees it."""

import dataclasses
from collections.abc import Callable
from collections.abc import Mapping

import numpy as np
from keras import ops

from keras_snn import patterns
from keras_snn.arithmetic import masks


@dataclasses.dataclass(frozen=True)
class Update:
    """One masked weight in the midst of a mask update.

    Attributes:
        weight: Its values, a float array.
        mask: Its mask before the update, a bool array of the same shape.
        given: What the method's `gradients` gave for it, or a function that
            returns it; None where the method needs none.
        rng: The NumPy generator of this weight in this update.
        pattern: What its masks must be.
        positions: Where the nonzeros of a kernel are, of which only these are
            stored: `weight` and `mask` are theirs alone then, and `given`
            comes in blocks. None where arrays are of the kernel's shape.
        size: How many weights the kernel has.
    """

    weight: np.ndarray
    mask: np.ndarray
    given: np.ndarray | Callable | None = None
    rng: np.random.Generator | None = None
    pattern: patterns.Pattern = patterns.ANY
    positions: np.ndarray | None = None
    size: int | None = None

    @property
    def gradient(self):
        """The gradient of every weight, made when it is asked for.

        By position, in blocks: pairs of where one begins, and its array.
        """
        return self.given() if callable(self.given) else self.given


def with_mask(masked, mask, gradients, path, **about):
    """The `Update` of a weight whose mask is an array.

    Args:
        masked: The `MaskedWeight`.
        mask: Its mask.
        gradients: Mapping of path to what the method looks at; the weight's
            may be missing.
        path: The weight's.
        **about: `rng` and `pattern` of the update.

    Raises:
        ValueError: If a weight is NaN or infinite.
    """
    return _checked(
        path,
        weight=masked.weight_array(),
        mask=mask,
        given=_given(gradients, path, _array),
        size=masked.size,
        **about,
    )


def by_position(masked, positions, gradients, path, **about):
    """The `Update` of a weight of which only the nonzeros are stored.

    Args:
        masked: The `NonzeroWeight`.
        positions: Where its nonzeros are, in increasing order.
        gradients: As for `with_mask`.
        path: The weight's.
        **about: `rng` of the update.

    Raises:
        ValueError: If a weight is NaN or infinite.
    """
    values = ops.convert_to_numpy(masked.weight.value)[: len(positions)]
    return _checked(
        path,
        weight=values,
        mask=np.ones(len(positions), bool),
        given=_given(gradients, path, _in_blocks),
        positions=positions,
        size=masked.size,
        **about,
    )


def _checked(path, **fields):
    masks.check_scores(fields["weight"], path)
    return Update(**fields)


def _given(gradients, path, made):
    """A function that returns the gradient of a path, or None."""
    return (lambda: made(gradients, path)) if path in gradients else None


def _array(gradients, path):
    return masks.check_scores(gradients[path], path)


def _in_blocks(gradients, path):
    if hasattr(gradients, "blocks"):
        return gradients.blocks(path)
    return [(0, gradients[path])]


def check_gradients(gradients, weights):
    """Raises an error unless each weight has a gradient, of its shape."""
    if not isinstance(gradients, Mapping):
        raise TypeError(
            "Argument `gradients` must be a mapping of weight path to array. "
            f"Received: a {type(gradients).__name__}"
        )
    for path, masked in weights.items():
        shape = np.shape(gradients.get(path))
        if shape != tuple(masked.shape):
            raise ValueError(
                "Argument `gradients` must hold an array for every weight that "
                "may move, of its shape. Received: "
                f"{'one of shape ' + str(shape) if shape else 'none'} for "
                f"{path!r} of shape {tuple(masked.shape)}"
            )
