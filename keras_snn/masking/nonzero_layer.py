"""A layer that stores the nonzeros of its kernel in place of a mask.

It is masked as any other: `masked_weights` finds its kernel, whose mask is
where the nonzeros are, under the path and at the place that a dense layer's
would have, so that the same draws make the same masks.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_snn.masking.masked_weight import MaskedWeight
from keras_snn.masking.weight_owners import WeightOwner


class NonzeroLayer(keras.layers.Layer):
    """A layer with the nonzeros of one kernel.

    Subclasses define `positions` and `set_nonzeros`, and set:

    Attributes:
        kernel_shape: The kernel's, (..., in, out).
        values: The `keras.Variable` of its nonzeros, in the order of the
            kernel, with room for more behind.
        topology: A list of the variables that tell where they are.
        probe: A function of the inputs and the outputs, without bias, of each
            call, that returns what stands in for the outputs; or None.
    """

    probe = None

    def owner_of(self, path, weight, layers, index):
        """The `WeightOwner` of one of its weights, as `weight_owners` asks.

        None for a weight that tells where the nonzeros are.
        """
        if any(weight is each for each in self.topology):
            return None
        if weight is not self.values:
            return WeightOwner(path, weight, layers, index)
        path = path.removesuffix(weight.name) + "kernel"
        return NonzeroOwner(path, weight, layers, index)

    def positions(self):
        """Where the nonzeros are in the flat kernel: an increasing array."""
        raise NotImplementedError

    def set_nonzeros(self, positions, values):
        """Puts other nonzeros in place of those that there are."""
        raise NotImplementedError

    def check_room(self, count):
        """Raises a `ValueError` if there is no room for so many nonzeros."""
        raise NotImplementedError

    def dense_product(self, inputs, kernel):
        """What the layer makes of inputs with a dense kernel, but no bias."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class NonzeroOwner(WeightOwner):
    """The nonzeros of a kernel, in the place of the kernel."""

    @property
    def is_kernel(self):
        return True

    @property
    def shape(self):
        return tuple(self.layer.kernel_shape)

    @property
    def input_axes(self):
        return tuple(range(len(self.shape) - 1))

    @property
    def plain_shape(self):
        return self.shape


@dataclasses.dataclass(frozen=True)
class NonzeroWeight(MaskedWeight):
    """A masked weight of which only the nonzeros are stored.

    Its `weight` is the variable of these; arrays are of the kernel's shape.
    """

    computes = "sparse"

    def active_count(self):
        return len(self.owner.layer.positions())

    def weight_array(self):
        return self.scattered(ops.convert_to_numpy(self.weight.value))

    def mask_array(self):
        mask = np.zeros(self.size, bool)
        mask[self.owner.layer.positions()] = True
        return mask.reshape(self.shape)

    def scattered(self, array):
        kernel = np.zeros(self.size, array.dtype)
        positions = self.owner.layer.positions()
        kernel[positions] = array[: len(positions)]
        return kernel.reshape(self.shape)

    def gathered(self, array):
        positions = self.owner.layer.positions()
        room = np.zeros(self.weight.shape, array.dtype)
        room[: len(positions)] = array.flat[positions]
        return room

    def write(self, mask, kept, start, slots):
        after = np.flatnonzero(mask)
        kept = kept.flat[self.owner.layer.positions()]
        start = np.broadcast_to(start, self.shape).flat[after]
        self.move(after, kept, slots, start)

    def move(self, after, kept, slots, start=0.0):
        """As `write`, without an array of the kernel's shape.

        Args:
            after: Where the nonzeros are to be: an increasing array of flat
                positions.
            kept: Bool array, of the nonzeros as they are: which stay, with
                their slots, where they are in `after`.
            slots: Pairs of a slot and the value that it starts from.
            start: What the others start from: a float, or an array as long as
                `after`.
        """
        layer = self.owner.layer
        before = layer.positions()
        # Where each nonzero was, if it stays; those behind the last one are 0.
        was = np.searchsorted(before, after)
        there = np.append(before, -1)[was] == after
        was = np.where(there, was, 0)
        stays = there & np.append(kept, False)[was]
        values = ops.convert_to_numpy(self.weight.value)[was]
        moved = [
            np.where(stays, ops.convert_to_numpy(slot.value)[was], at_first)
            for slot, at_first in slots
        ]
        layer.set_nonzeros(after, np.where(stays, values, start))
        for (slot, at_first), array in zip(slots, moved, strict=True):
            room = np.full(slot.shape, at_first, array.dtype)
            room[: len(after)] = array
            slot.assign(room)

    def check_room(self, mask):
        self.owner.layer.check_room(int(np.count_nonzero(mask)))

    def prune(self):
        """There is nothing outside the mask."""


def check_no_nonzeros(name, weights):
    """Refuses layers without weights outside the masks, which would be trained.

    Args:
        name: The model's, for the error.
        weights: `MaskedWeight`s.

    Raises:
        ValueError: If one is a `NonzeroWeight`.
    """
    paths = [each.path for each in weights if each.computes == "sparse"]
    if paths:
        raise ValueError(
            "Weights outside the masks cannot be trained in layers that store "
            "only their nonzeros: apply this method to a model of dense "
            f"layers, such as `to_dense` makes. Received: {name!r}, where "
            f"{paths} compute sparse"
        )


def nonzero_weights(owners):
    """Those of `weight_owners` that are the nonzeros of a kernel.

    Returns:
        A list of `NonzeroWeight`.
    """
    return [
        NonzeroWeight(owner.path, owner, None, owner.index)
        for owner in nonzero_owners(owners)
    ]


def nonzero_owners(owners):
    """Those of `weight_owners` that are the nonzeros of a kernel."""
    return [owner for owner in owners if isinstance(owner, NonzeroOwner)]
