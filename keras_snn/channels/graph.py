"""Which channels of a model stand and fall together, and who reads them.

A channel is one place along the last axis of a tensor. Each channel that a
kernel writes gets a number; the number travels through the layers that treat
channels one by one (activations, BatchNorm, pooling, depthwise convolutions),
is repeated by Flatten, and becomes one with another where the two are added.
What reads a number in the end is again a kernel, along its input axis. So a
channel can be removed if every kernel that reads it ignores it: whatever it
emits, no output depends on it.

A layer that mixes channels in a way not known here, such as LayerNorm, softmax
or a layer of the user's own, fixes those that go in and come out: they stay.
So do the channels of the model's inputs and outputs.
"""

import dataclasses
import math

import keras
import numpy as np
from keras import layers

from keras_snn.arithmetic.union_find import UnionFind
from keras_snn.channels.kinds import CHANNELWISE
from keras_snn.channels.kinds import CHANNELWISE_OPS
from keras_snn.channels.kinds import ELEMENTWISE
from keras_snn.channels.kinds import KERNELS
from keras_snn.channels.kinds import MERGING
from keras_snn.channels.kinds import MERGING_OPS
from keras_snn.channels.kinds import is_op
from keras_snn.channels.kinds import is_plain
from keras_snn.masking.keras_private import node_of
from keras_snn.masking.layer_kinds import DEPTHWISE
from keras_snn.masking.masked_layer import MaskedLayer


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel, the channels that it reads and those that it writes.

    Attributes:
        weight: The `keras.Variable`.
        axes: Its axis of inputs, and that of outputs; both negative.
        inputs: The number of each channel read, an int array.
        outputs: The number of each channel written, an int array.
    """

    weight: keras.Variable
    axes: tuple
    inputs: np.ndarray
    outputs: np.ndarray


class ChannelGraph:
    """The channels of a Functional or Sequential model.

    Models inside, and layers inside a `MaskedLayer`, are part of it.

    Args:
        model: A built Keras model, with masks or without.

    Attributes:
        fixed: Bool array: by channel, whether it must stay.
        kernels: A list of `Kernel`.
        known: The ids of the layers and models whose channels may go.

    Raises:
        ValueError: If the model is of another kind, whose layers are called by
            code that cannot be looked into.
    """

    def __init__(self, model):
        check_graph(model)
        self._sets = UnionFind()
        self._tensors = {}  # id of a KerasTensor: its channels
        self._calls = {}  # id of a layer: channels of its inputs, outputs
        self._axes = {}  # id of a weight: (axis, channels), ...
        self._fixed = []
        self._kernels = []
        self._unknown = set()
        self.known = set()
        inputs = [self._fixed_channels(t) for t in model.inputs]
        self._fixed += self._graph(model, inputs)
        self._finish()

    def axes(self, weight):
        """A list of (axis, channels along it) of a weight; else empty."""
        return [
            (axis, self._numbers[channels])
            for axis, channels in self._axes.get(id(weight), ())
        ]

    def channels(self, tensor):
        """The channels of a symbolic tensor of the model; None if unknown."""
        channels = self._tensors[id(tensor)]
        return None if channels is None else self._numbers[channels]

    def _finish(self):
        numbers = self._numbers = self._sets.representatives()
        self.fixed = np.zeros(len(numbers), bool)
        for channels in self._fixed:
            if channels is not None:
                self.fixed[numbers[channels]] = True
        self.kernels = [
            dataclasses.replace(
                kernel,
                inputs=numbers[kernel.inputs],
                outputs=numbers[kernel.outputs],
            )
            for kernel in self._kernels
        ]

    def _graph(self, model, inputs):
        for tensor, channels in zip(model.inputs, inputs, strict=True):
            self._tensors[id(tensor)] = channels
        for node in calls(model):
            outputs = self._call(node)
            for tensor, channels in zip(node.outputs, outputs, strict=True):
                self._tensors[id(tensor)] = channels
        self.known.add(id(model))
        return [self._tensors[id(tensor)] for tensor in model.outputs]

    def _call(self, node):
        """The channels of a call's outputs, from those of its inputs."""
        layer = node.operation
        inputs = [self._tensors[id(t)] for t in node.input_tensors]
        while isinstance(layer, MaskedLayer):
            layer = layer.layer
        outputs = None
        if id(layer) not in self._unknown and all(
            i is not None for i in inputs
        ):
            outputs = self._rule(layer, inputs, node)
        if outputs is None:
            self._unknown.add(id(layer))
            self._fixed += inputs
            self._fixed += sum(self._calls.get(id(layer), ()), [])
            return [self._fixed_channels(tensor) for tensor in node.outputs]
        self.known.add(id(layer))
        return outputs

    def _rule(self, layer, inputs, node):
        """The channels of the outputs; None if they are not known."""
        shapes = [tuple(t.shape) for t in (*node.input_tensors, *node.outputs)]
        kind = type(layer)
        if isinstance(layer, keras.Model):
            return self._once(layer, inputs, self._nested)
        if kind in MERGING or is_op(layer, MERGING_OPS):
            return self._merged(inputs, shapes, node)
        if kind is layers.Concatenate:
            return self._concatenated(layer, inputs, shapes)
        if len(inputs) != 1 or not is_plain(layer):
            return None
        if kind in KERNELS:
            return self._once(layer, inputs, self._kernel)
        if kind in DEPTHWISE:
            return self._once(layer, inputs, self._depthwise)
        if kind is layers.BatchNormalization:
            if layer.axis in (-1, len(shapes[0]) - 1):
                return self._once(layer, inputs, self._batch_norm)
        elif kind in CHANNELWISE or is_op(layer, CHANNELWISE_OPS):
            return inputs
        elif kind is layers.Rescaling:
            if np.ndim(layer.scale) == np.ndim(layer.offset) == 0:
                return inputs
        elif kind is layers.Reshape and shapes[0][-1] == shapes[1][-1]:
            if None not in shapes[0][1:] and -1 not in layer.target_shape[:-1]:
                return inputs
        elif kind is layers.Flatten and None not in shapes[0][1:]:
            return [np.tile(inputs[0], math.prod(shapes[0][1:-1]))]
        return None

    def _once(self, layer, inputs, rule):
        """Applies a rule at the first call; later ones share its channels."""
        if id(layer) not in self._calls:
            outputs = rule(layer, inputs)
            if outputs is None:
                return None
            self._calls[id(layer)] = inputs, outputs
        known_inputs, outputs = self._calls[id(layer)]
        for known, channels in zip(known_inputs, inputs, strict=True):
            self._sets.unite(known, channels)
        return outputs

    def _nested(self, model, inputs):
        if is_graph(model) and len(model.inputs) == len(inputs):
            return self._graph(model, inputs)
        return None

    def _kernel(self, layer, inputs):
        attribute, *axes = KERNELS[type(layer)]
        weight, (channels,) = getattr(layer, attribute), inputs
        if attribute == "pointwise_kernel":
            self._axes[id(layer.depthwise_kernel)] = [(-2, channels)]
            channels = np.repeat(channels, layer.depth_multiplier)
        outputs = self._sets.new(weight.shape[axes[1]])
        along = list(zip(axes, (channels, outputs), strict=True))
        self._axes[id(weight)] = along
        self._kernels.append(Kernel(weight, tuple(axes), channels, outputs))
        return [self._biased(layer, outputs)]

    def _depthwise(self, layer, inputs):
        self._axes[id(layer.kernel)] = [(-2, inputs[0])]
        outputs = np.repeat(inputs[0], layer.depth_multiplier)
        return [self._biased(layer, outputs)]

    def _biased(self, layer, outputs):
        if layer.bias is not None:
            self._axes[id(layer.bias)] = [(-1, outputs)]
        if layer.activation not in ELEMENTWISE:
            self._fixed.append(outputs)
        return outputs

    def _batch_norm(self, layer, inputs):
        for weight in layer.weights:
            self._axes[id(weight)] = [(-1, inputs[0])]
        return inputs

    def _merged(self, inputs, shapes, node):
        if len({(len(s), s[-1]) for s in shapes}) > 1:
            return None
        if is_op(node.operation, MERGING_OPS) and any(
            not isinstance(argument, keras.KerasTensor)
            and not np.isscalar(argument)
            for argument in node.arguments.args
        ):
            return None
        for other in inputs[1:]:
            self._sets.unite(inputs[0], other)
        return inputs[:1]

    def _concatenated(self, layer, inputs, shapes):
        if layer.axis in (-1, len(shapes[0]) - 1):
            return [np.concatenate(inputs)]
        for other in inputs[1:]:
            self._sets.unite(inputs[0], other)
        return inputs[:1]

    def _fixed_channels(self, tensor):
        if len(tensor.shape) < 2 or tensor.shape[-1] is None:
            return None
        channels = self._sets.new(tensor.shape[-1])
        self._fixed.append(channels)
        return channels


def check_graph(model):
    """Raises a `ValueError` unless the model is Functional or Sequential."""
    if not is_graph(model):
        raise ValueError(
            "Channels can be removed from a Functional or Sequential model "
            "only, since in another it is not known which layers follow "
            f"which. Received: {model.name!r}, a {type(model).__name__}"
        )


def is_graph(model):
    """Whether a model calls its layers as its symbolic tensors tell."""
    try:
        symbolic = model.inputs and model.outputs
    except (AttributeError, ValueError):
        return False
    # A subclass may have tensors, and a `call` of its own besides.
    return symbolic and type(model).call.__module__.startswith("keras.")


def calls(model):
    """The calls of operations that lead to a model's outputs, in order."""
    inputs = {id(tensor) for tensor in model.inputs}
    ordered, seen = [], set()
    ahead = [(node_of(t), False) for t in model.outputs if id(t) not in inputs]
    while ahead:
        node, ready = ahead.pop()
        if ready:
            ordered.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            ahead.append((node, True))
            ahead += [
                (node_of(tensor), False)
                for tensor in node.input_tensors
                if id(tensor) not in inputs
            ]
    return ordered
