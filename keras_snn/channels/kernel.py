"""A kernel: which channels it reads, which it writes, and what joins them."""

import dataclasses

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel, the channels that it reads and those that it writes.

    Attributes:
        weight: The `keras.Variable`.
        axes: Its axis of inputs, and that of outputs; both negative.
        inputs: The number of each channel read, an int array.
        outputs: The number of each channel written, an int array.
        groups: Of how many equal parts: each reads its own inputs alone.
    """

    weight: keras.Variable
    axes: tuple
    inputs: np.ndarray
    outputs: np.ndarray
    groups: int = 1

    def numbers(self):
        """The numbers read, and those written, to broadcast to the weight."""
        inputs, outputs = self.by_group()
        inputs = np.repeat(inputs.T, outputs.shape[1], axis=1)
        pair = inputs, self.outputs[None]
        return [np.moveaxis(numbers, (-2, -1), self.axes) for numbers in pair]

    def matrix(self, values, reduce):
        """What joins each input to each output, of shape (inputs, outputs).

        Args:
            values: An array of the weight's shape.
            reduce: How several become one, such as `np.sum` or `np.any`.
        """
        moved = np.moveaxis(values, self.axes, (-2, -1))
        joined = reduce(moved.reshape(-1, *moved.shape[-2:]), axis=0)
        width = len(self.outputs) // self.groups
        within = np.kron(np.eye(self.groups), np.ones_like(joined[:, :width]))
        return np.tile(joined, (self.groups, 1)) * within.astype(joined.dtype)

    def by_group(self):
        """The inputs and the outputs, each of shape (groups, a group's)."""
        return [c.reshape(self.groups, -1) for c in (self.inputs, self.outputs)]

    def even(self, kept):
        """Lets groups that stay keep as many inputs as others, and outputs.

        Args:
            kept: By channel, whether it stays: a bool array, which changes.
        """
        inputs, outputs = self.by_group()
        stay = kept[inputs].any(axis=1) | kept[outputs].any(axis=1)
        for side in (inputs[stay], outputs[stay]):
            even(side, kept)


def even(sets, kept):
    """Lets as many channels stay of each set as of that of which most do.

    Args:
        sets: An int array of shape (sets, channels of each).
        kept: By channel, whether it stays: a bool array, which changes.
    """
    most = max(1, kept[sets].sum(axis=1).max(initial=0))
    for channels in sets:
        missing = most - kept[channels].sum()
        kept[channels[~kept[channels]][:missing]] = True
