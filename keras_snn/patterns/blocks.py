"""Block sparsity."""

import dataclasses
import math

import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.checks import check_integer
from keras_snn.patterns.pattern import Pattern


@dataclasses.dataclass(frozen=True)
class Blocks(Pattern):
    """Blocks of a kernel live or die as one, by their mean score.

    Args:
        shape: Inputs and outputs of a block, two ints >= 1: (4, 1) is four
            inputs of one output, (1, 4) one input of four outputs.
        axes: The axes of a kernel that it covers. Defaults to the layer's
            input and output channels: the last two of (in, out) and
            (rows, cols, in, out).

    Raises:
        ValueError: If `shape` is out of range, or an argument holds no ints.

    Example:

    >>> Blocks((2, 1)).top_k(np.array([[3.0], [1.0], [2.0], [1.0]]), 2).ravel()
    array([ True,  True, False, False])
    """

    shape: tuple
    axes: tuple | None = None

    def __post_init__(self):
        for name in ("shape", "axes"):
            pair = getattr(self, name)
            if pair is None and name == "axes":
                continue
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise ValueError(
                    f"Argument `{name}` must be a pair, for inputs and "
                    f"outputs. Received: {name}={pair!r}"
                )
            for number in pair:
                check_integer(name, number, None, "to count weights by")
            object.__setattr__(self, name, tuple(pair))
        if min(self.shape) < 1:
            raise ValueError(
                "Argument `shape` must hold ints >= 1, or a block has no "
                f"weights. Received: shape={self.shape}"
            )

    @property
    def unit(self):
        return math.prod(self.shape)

    def along(self, inputs, rank):
        outputs = [axis for axis in range(rank) if axis not in inputs]
        if self.axes is not None or not outputs:
            return self
        return dataclasses.replace(self, axes=(inputs[-1], outputs[-1]))

    def check_shape(self, shape, name="weight"):
        if len(shape) < 2:
            raise ValueError(
                "Blocks need inputs and outputs, two axes: "
                f"`exclude` {name!r}. Received: shape {tuple(shape)}"
            )
        for size, axis in zip(self.shape, self._axes, strict=True):
            if shape[axis] % size:
                raise ValueError(
                    f"Blocks of {self.shape} need an axis of whole blocks: "
                    f"`exclude` {name!r}, or choose another shape. Received: "
                    f"shape {tuple(shape)}, {shape[axis]} along axis {axis}"
                )

    def step(self, shape):
        return self.unit

    def units(self, array):
        """The mean of each block."""
        self.check_shape(array.shape)
        moved = np.moveaxis(array, self._axes, (-2, -1))
        *before, rows, cols = moved.shape
        high, wide = self.shape
        blocks = moved.reshape(*before, rows // high, high, cols // wide, wide)
        return blocks.mean((-3, -1), np.result_type(array, np.float32))

    def weights(self, units, shape):
        high, wide = self.shape
        moved = units.repeat(high, axis=-2).repeat(wide, axis=-1)
        return np.moveaxis(moved, (-2, -1), self._axes)

    def top_k(self, scores, k, among=None):
        scores = np.asarray(scores)
        among = None if among is None else self.units(among) == 1
        units = masks.top_k(self.units(scores), self._blocks(k), among)
        return self.weights(units, scores.shape)

    def drop_lowest(self, scores, mask, k):
        return self.top_k(scores, int(np.count_nonzero(mask)) - k, mask)

    def grow_highest(self, scores, mask, k):
        return mask | self.top_k(scores, k, ~mask)

    def grow_random(self, mask, k, rng):
        units = self.units(mask) == 1
        grown = masks.grow_random(units, self._blocks(k), rng)
        return self.weights(grown, mask.shape)

    def holds(self, mask):
        return bool(np.isin(self.units(mask), (0, 1)).all())

    def _blocks(self, k):
        blocks, rest = divmod(k, self.unit)
        if rest:
            raise ValueError(
                f"Blocks of {self.shape} keep whole blocks of {self.unit} "
                f"weights. Received: {k} weights"
            )
        return blocks

    @property
    def _axes(self):
        return self.axes or (-2, -1)
