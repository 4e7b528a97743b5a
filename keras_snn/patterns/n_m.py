"""N:M sparsity."""

import dataclasses
import math

import numpy as np

from keras_snn.checks import check_integer
from keras_snn.patterns.grouped import Grouped


@dataclasses.dataclass(frozen=True)
class NM(Grouped):
    """N:M sparsity: of every m consecutive inputs of an output, n stay.

    "Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch",
    https://arxiv.org/abs/2102.04010. 2:4 is what GPUs multiply faster. All
    layers have the sparsity 1 - n / m, so no distribution applies.

    Args:
        n: How many of each group are active, an int >= 1.
        m: How many a group has, an int > n.
        axis: Along which axis of a kernel groups lie. Defaults to the layer's
            input channels: -2 for (in, out) and (rows, cols, in, out).

    Raises:
        ValueError: If an argument is out of range, or no int.

    Example:

    >>> NM(1, 2).top_k(np.array([[3.0], [4.0], [2.0], [1.0]]), 2).ravel()
    array([False,  True,  True, False])
    """

    n: int
    m: int
    axis: int | None = None

    def __post_init__(self):
        for name in ("n", "m"):
            check_integer(name, getattr(self, name), None, "to count by")
        if self.axis is not None:
            check_integer("axis", self.axis, None, "an axis of kernels")
        if not 1 <= self.n < self.m:
            raise ValueError(
                "A pattern N:M needs 1 <= n < m, since n of every m weights "
                f"stay, not all and not none. Received: n={self.n}, m={self.m}"
            )

    def along(self, inputs, rank):
        if self.axis is not None:
            return self
        return dataclasses.replace(self, axis=inputs[-1])

    def check_shape(self, shape, name="weight"):
        axis = self._axis(shape)
        if shape[axis] % self.m:
            raise ValueError(
                f"A pattern {self.n}:{self.m} needs an axis of whole groups of "
                f"{self.m}: `exclude` {name!r}, or choose another pattern. "
                f"Received: shape {tuple(shape)}, {shape[axis]} along axis "
                f"{axis}"
            )

    def step(self, shape):
        return math.prod(shape) // self.m * self.n

    def sparsity(self, requested, default=None):
        own = 1 - self.n / self.m
        if not math.isclose(super().sparsity(requested, own), own):
            raise ValueError(
                f"A pattern {self.n}:{self.m} has a sparsity of its own, "
                f"{own:.6g}: leave `sparsity` out. "
                f"Received: sparsity={requested}"
            )
        return own

    def distribution(self, requested):
        if requested is None or isinstance(requested, str):
            return "uniform"
        raise ValueError(
            f"A pattern {self.n}:{self.m} gives every layer the same sparsity: "
            "`exclude` those that are to have another. "
            f"Received: distribution={requested!r}"
        )

    def quota(self, shape, total):
        """Active weights of each group, of `total` in all."""
        self.check_shape(shape)
        if total != self.step(shape):
            raise ValueError(
                f"A pattern {self.n}:{self.m} keeps {self.step(shape)} weights "
                f"of shape {tuple(shape)}. Received: {total}"
            )
        return self.n

    def groups(self, array):
        axis = self._axis(array.shape)
        return array.reshape(-1, self.m, math.prod(array.shape[axis + 1 :]))

    def ungroup(self, groups, shape):
        return groups.reshape(shape)

    def holds(self, mask):
        self.check_shape(mask.shape)
        counts = np.count_nonzero(self.groups(mask), axis=1)
        return bool((counts == self.n).all())

    def _axis(self, shape):
        rank = len(shape)
        axis = max(rank - 2, 0) if self.axis is None else self.axis
        if not -rank <= axis < rank:
            raise ValueError(
                "A pattern's axis must be one of the weight, or there are no "
                f"groups. Received: axis={axis}, shape {tuple(shape)}"
            )
        return axis % rank
