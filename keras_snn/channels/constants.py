"""Which channels are constant, whatever a model is given, and at what value.

A filter without an active weight emits its bias, BatchNorm and activations
make another constant of it, and so on until a kernel reads it: there it is as
good as a bias. Values are those of inference; in training, BatchNorm and
dropout would make something else of them.

Where a kernel hangs over the edge of an image, fewer of its weights meet the
constant than elsewhere: no bias does the same, unless the constant is 0.
"""

import functools
import math

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_snn.channels.kinds import KEEPING
from keras_snn.channels.kinds import KERNELS
from keras_snn.channels.kinds import MERGING
from keras_snn.channels.kinds import MERGING_OPS
from keras_snn.channels.kinds import PADDING
from keras_snn.channels.kinds import RECURRENT
from keras_snn.channels.kinds import is_op
from keras_snn.masking.layer_kinds import DEPTHWISE
from keras_snn.masking.layer_kinds import TRANSPOSED

MERGES = {
    "Add": np.add,
    "Average": np.add,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Multiply": np.multiply,
    "Subtract": np.subtract,
}


class Constants:
    """The constants in the channels of a model, in inference.

    Args:
        graph: The model's `ChannelGraph`.
        masks: Mapping of the id of a weight to its mask, a bool array;
            weights that it does not name are active.

    Attributes:
        held: Pairs of text, where constants can be no bias, and their channels.
    """

    def __init__(self, graph, masks):
        self.held = []
        self._graph = graph
        self._masks = masks
        self._kernels = {id(k.weight): k for k in graph.kernels}
        self._values = {}  # id of a KerasTensor: NaN where it varies
        self._seen = {}  # id of a kernel: by input, what it can have as a bias
        if not graph.trains:
            for step in graph.steps:
                self._follow(step)

    def reads(self, kernel):
        """Which inputs a kernel needs for which outputs, a bool array."""
        return self._connected(kernel) & np.isnan(self._of(kernel))[:, None]

    def bias(self, kernel, kept):
        """What the inputs that are not `kept` add to each output of a kernel.

        Args:
            kernel: A `Kernel` of the graph.
            kept: By channel, whether it stays: a bool array.
        """
        gone = np.where(kept[kernel.inputs], 0.0, _finite(self._of(kernel)))
        return gone @ kernel.matrix(_array(kernel.weight), np.sum)

    def _of(self, kernel):
        varying = np.full(len(kernel.inputs), np.nan)
        return self._seen.get(id(kernel.weight), varying)

    def _connected(self, kernel):
        return kernel.matrix(self._active(kernel.weight), np.any)

    def _active(self, weight):
        mask = self._masks.get(id(weight))
        return np.ones(weight.shape, bool) if mask is None else mask

    def _follow(self, step):
        """Sets the values of a call's outputs, from those of its inputs."""
        layer = step.layer
        inputs = [self._values.get(id(tensor)) for tensor in step.inputs]
        if id(layer) not in self._graph.known:
            for tensor, values in zip(step.inputs, inputs, strict=True):
                if values is not None:
                    self._hold(
                        f"{layer.name!r}, which mixes channels",
                        self._graph.channels(tensor)[~np.isnan(values)],
                    )
            return
        inputs = [
            np.full(tensor.shape[-1], np.nan)
            # What a shared layer sees differs from call to call.
            if values is None or self._graph.times[id(layer)] > 1
            else values
            for tensor, values in zip(step.inputs, inputs, strict=True)
        ]
        outputs = self._rule(layer, inputs, step)
        for tensor, values in zip(step.outputs, outputs, strict=True):
            self._values[id(tensor)] = values

    def _rule(self, layer, inputs, step):
        kind = type(layer)
        if isinstance(layer, keras.Model) or kind in (*KEEPING, layers.Reshape):
            return inputs
        if kind in MERGING or is_op(layer, MERGING_OPS):
            return [_merged(kind.__name__, inputs, step)]
        if kind is layers.Concatenate:
            if layer.axis in (-1, len(step.inputs[0].shape) - 1):
                return [np.concatenate(inputs)]
            return [np.where(np.ptp(inputs, axis=0) == 0, inputs[0], np.nan)]
        (values,) = inputs
        if kind in KERNELS:
            return [self._kernel(layer, values)]
        if kind in DEPTHWISE:
            values = self._depthwise(layer, layer.kernel, values)
            return [_applied(layer.activation, values + _array(layer.bias))]
        if kind in RECURRENT:
            return [self._recurrent(layer, values)] * len(step.outputs)
        if kind is layers.Bidirectional:
            both = layer.forward_layer, layer.backward_layer
            both = [self._recurrent(direction, values) for direction in both]
            if layer.merge_mode is None:
                return both
            concatenated = layer.merge_mode == "concat"
            return [np.concatenate(both) if concatenated else sum(both)]
        if kind is layers.BatchNormalization:
            return [_batch_norm(layer, values)]
        if kind is layers.GroupNormalization:
            return [self._group_norm(layer, values)]
        if kind in PADDING:
            return [_zeros_of(values)]
        if kind is layers.Flatten:
            return [np.tile(values, math.prod(step.inputs[0].shape[1:-1]))]
        return [_applied(layer, values)]

    def _kernel(self, layer, values):
        attribute = KERNELS[type(layer)][0]
        kernel = self._kernels[id(getattr(layer, attribute))]
        if attribute == "pointwise_kernel":
            values = self._depthwise(layer, layer.depthwise_kernel, values)
        else:
            read = self._connected(kernel).any(axis=1)
            values = self._in_full(layer, values, kernel.inputs, read)
        self._seen[id(kernel.weight)] = values
        outputs = _finite(values) @ kernel.matrix(_array(kernel.weight), np.sum)
        outputs[self.reads(kernel).any(axis=0)] = np.nan
        return _applied(layer.activation, outputs + _array(layer.bias))

    def _recurrent(self, layer, values):
        """Zeros of units that never leave the state that they begin with.

        That is where the candidate for their state is 0, whatever the gates.
        (With a bias alone, a state would approach a constant in time.)
        """
        cell = layer.cell
        kernel = self._kernels[id(cell.kernel)]
        recurrent = self._kernels[id(cell.recurrent_kernel)]
        # The candidate is the third gate of GRU and LSTM, the one of SimpleRNN.
        gates = len(kernel.outputs) // cell.units
        start = min(2, gates - 1) * cell.units
        candidate = slice(start, start + cell.units)
        moved = self._connected(kernel)[values != 0][:, candidate].any(axis=0)
        if cell.bias is not None:
            biases = _array(cell.bias).reshape(-1, gates * cell.units)
            moved |= biases[:, candidate].any(axis=0)
        moved |= _applied(cell.activation, np.zeros(1)) != 0
        reads = self._connected(recurrent)[:, candidate]
        before = None
        while not np.array_equal(before, moved):
            before, moved = moved, moved | reads[moved].any(axis=0)
        units = np.where(moved, np.nan, 0.0)
        self._seen[id(kernel.weight)] = values
        self._seen[id(recurrent.weight)] = units
        return units

    def _group_norm(self, layer, values):
        grouped = values.reshape(layer.groups, -1)
        mean = grouped.mean(axis=1, keepdims=True)  # NaN where one varies.
        self._hold(
            f"{layer.name!r}, in groups with others",
            self._graph.groups[id(layer)][~np.isnan(grouped) & np.isnan(mean)],
        )
        deviation = np.sqrt(grouped.var(axis=1, keepdims=True) + layer.epsilon)
        return _scaled(layer, ((grouped - mean) / deviation).reshape(-1))

    def _depthwise(self, layer, weight, values):
        spatial = tuple(range(len(weight.shape) - 2))
        read = self._active(weight).any(spatial)
        (channels,) = self._graph.along(weight)
        values = self._in_full(layer, values, channels[:, 0], read.any(axis=1))
        # A filter without active weights is 0, of what varies, too.
        values = np.where(read, values[:, None], 0.0)
        return (values * _array(weight).sum(spatial)).reshape(-1)

    def _in_full(self, layer, values, channels, read):
        """Those constants that meet the whole kernel everywhere."""
        if type(layer) not in TRANSPOSED and (
            getattr(layer, "padding", "valid") == "valid"
            or set(layer.kernel_size) == {1}
        ):
            return values
        zeros = _zeros_of(values)
        self._hold(
            f"{layer.name!r}, whose kernel hangs over the edge",
            channels[read & np.isnan(zeros) & ~np.isnan(values)],
        )
        return zeros

    def _hold(self, where, channels):
        self.held.append((where, np.unique(channels)))


def _merged(name, inputs, step):
    """Several inputs, or one and numbers, as `x + 1` has them, become one."""
    operands = inputs
    if not isinstance(step.layer, layers.Layer):
        tensors = iter(inputs)
        operands = [
            next(tensors) if isinstance(operand, keras.KerasTensor) else operand
            for operand in step.arguments
        ]
    merged = functools.reduce(MERGES[name], operands)
    if name == "Average":
        return merged / len(inputs)
    if name == "Multiply":  # By whatever is in the other branch.
        zero = functools.reduce(np.logical_or, [a == 0 for a in operands])
        return np.where(zero, 0.0, merged)
    return merged


def _batch_norm(layer, values):
    deviation = np.sqrt(_array(layer.moving_variance) + layer.epsilon)
    return _scaled(layer, (values - _array(layer.moving_mean)) / deviation)


def _scaled(layer, normalized):
    gamma = 1.0 if layer.gamma is None else _array(layer.gamma)
    return gamma * normalized + _array(layer.beta)


def _applied(function, values):
    """What an elementwise function makes of constants."""
    constant = ~np.isnan(values)
    if not constant.any():
        return values
    result = function(ops.convert_to_tensor(_finite(values)[None], "float32"))
    result = ops.convert_to_numpy(ops.cast(result, "float32"))[0]
    return np.where(constant, result, np.nan)


def _zeros_of(values):
    return np.where(values == 0, 0.0, np.nan)


def _finite(values):
    return np.where(np.isnan(values), 0.0, values)


def _array(weight):
    return 0.0 if weight is None else weight.numpy().astype("float64")
