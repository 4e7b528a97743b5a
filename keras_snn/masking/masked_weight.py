"""A weight and its mask, as methods see them, wherever they are kept."""

import dataclasses
import math

import keras
import numpy as np
from keras import ops

from keras_snn.masking.weight_owners import WeightOwner


@dataclasses.dataclass(frozen=True)
class MaskedWeight:
    """A masked weight: its path, whose it is, its mask, and its place.

    Attributes:
        path: Such as `"conv1/kernel"`.
        owner: Its `WeightOwner`: the weight, and the layers that it is in.
        mask: The bool `keras.Variable` of the same shape; None where only the
            nonzeros are stored.
        index: The weight's place among all weights of the wrapped layer;
            random draws derive from it, since names given by Keras count up
            with every layer of a process.
        companion: A weight of the wrapper of the same shape, where a method
            has one, such as a score.
        keeps_inactive: Whether it keeps its values outside the mask, too;
            else it is exactly 0 there.
    """

    path: str
    owner: WeightOwner
    mask: keras.Variable
    index: int
    companion: keras.Variable | None = None
    keeps_inactive: bool = False

    computes = "masked"  # How its layer takes inactive weights.

    @property
    def weight(self):
        """The `keras.Variable`."""
        return self.owner.weight

    @property
    def shape(self):
        """The shape of the weight and of its mask."""
        return self.owner.shape

    @property
    def input_axes(self):
        """Its axes that run over its layer's inputs."""
        return self.owner.input_axes

    @property
    def plain_shape(self):
        """Its shape, a kernel of EinsumDense as `(in, out)`."""
        return self.owner.plain_shape

    @property
    def size(self):
        """How many weights there are, active or not."""
        return math.prod(self.shape)

    def active_count(self):
        """How many of them are active."""
        return int(np.count_nonzero(self.mask_array()))

    def weight_array(self):
        """The weight's value, a NumPy array."""
        return ops.convert_to_numpy(self.weight.value)

    def mask_array(self):
        """The mask's value, a bool NumPy array."""
        return ops.convert_to_numpy(self.mask.value)

    def companion_array(self):
        """The companion's value, a NumPy array."""
        return ops.convert_to_numpy(self.companion.value)

    def scattered(self, array):
        """An array of the shape of `weight`, in the weight's own shape."""
        return array

    def gathered(self, array):
        """An array of the weight's own shape, in the shape of `weight`."""
        return array

    def check_room(self, mask):
        """Raises a `ValueError` if a mask cannot be written."""

    def write(self, mask, kept, start, slots):
        """Writes a mask, and what goes with it: weight and optimizer slots.

        Args:
            mask: Bool array of the weight's shape.
            kept: Bool array: where the weight and its slots stay.
            start: What the weight is elsewhere in the mask: a float, or an
                array of the weight's shape.
            slots: Pairs of a slot and the value that it starts from.
        """
        if not self.keeps_inactive:
            reset(self.weight, kept, np.where(mask, start, 0.0))
            for slot, at_first in slots:
                reset(slot, kept, at_first)
        self.mask.assign(mask)

    def prune(self):
        """Puts the weight to 0 outside the mask, in tensors."""
        value = self.weight.value
        pruned = ops.where(self.mask.value, value, ops.zeros_like(value))
        self.weight.assign(pruned)


def reset(variable, kept, start):
    """Puts a variable back to `start` where it is not kept."""
    value = variable.value
    start = ops.broadcast_to(
        ops.convert_to_tensor(start, variable.dtype), value.shape
    )
    variable.assign(ops.where(ops.convert_to_tensor(kept), value, start))
