"""Constant fan-in."""

import dataclasses
import math

import numpy as np

from keras_snn.checks import check_integer
from keras_snn.patterns.grouped import Grouped


@dataclasses.dataclass(frozen=True)
class ConstantFanIn(Grouped):
    """Every output of a layer has the same number of active inputs.

    "Dynamic Sparse Training with Structured Sparsity" (SRigL),
    https://arxiv.org/abs/2305.02299, where the layer's weights fill a dense
    matrix of that many columns. With it, `RigLUpdate` is SRigL. A layer's count
    is rounded to whole fan-ins.

    Args:
        inputs: The axes of a kernel that run over inputs, a tuple of ints >= 0.
            Defaults to those of the layer: all but the last of (in, out) and
            (rows, cols, in, out).
    """

    inputs: tuple | None = None

    def __post_init__(self):
        if self.inputs is not None:
            for axis in self.inputs:
                check_integer("inputs", axis, 0, "an axis of kernels")
            object.__setattr__(self, "inputs", tuple(self.inputs))

    def along(self, inputs, rank):
        if self.inputs is not None:
            return self
        return dataclasses.replace(self, inputs=tuple(inputs))

    def step(self, shape):
        """How many outputs there are."""
        _, outputs = self._axes(len(shape))
        return math.prod(shape[axis] for axis in outputs)

    def quota(self, shape, total):
        """Active weights of each group, of `total` in all."""
        fan_in, rest = divmod(total, self.step(shape))
        if rest:
            raise ValueError(
                "A constant fan-in needs as many weights for each of "
                f"{self.step(shape)} outputs. Received: {total} for shape "
                f"{tuple(shape)}"
            )
        return fan_in

    def groups(self, array):
        inputs, outputs = self._axes(array.ndim)
        members = math.prod(array.shape[axis] for axis in inputs)
        return array.transpose(*inputs, *outputs).reshape(1, members, -1)

    def ungroup(self, groups, shape):
        inputs, outputs = self._axes(len(shape))
        order = (*inputs, *outputs)
        moved = groups.reshape([shape[axis] for axis in order])
        return moved.transpose(np.argsort(order))

    def holds(self, mask):
        counts = np.count_nonzero(self.groups(mask), axis=1)
        return bool((counts == counts.flat[0]).all())

    def _axes(self, rank):
        inputs = self.inputs or tuple(range(max(rank - 1, 1)))
        return inputs, tuple(a for a in range(rank) if a not in inputs)
