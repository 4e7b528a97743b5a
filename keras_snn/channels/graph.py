"""Which channels of a model stand and fall together, and who reads them.

A channel is one place along the last axis of a tensor. Each channel that a
kernel writes gets a number; the number travels through the layers that treat
channels one by one (activations, BatchNorm, pooling, depthwise convolutions),
is repeated by Flatten, and becomes one with another where the two are added.
What reads a number in the end is again a kernel, along its input axis. So a
channel can be removed if every kernel that reads it ignores it: whatever it
emits, no output depends on it.

Groups of GroupNorm are one channel each, since their statistics are. A unit of
a recurrent layer is a channel that its layer reads as well, of the step before.

A layer that mixes channels in a way not known here, such as LayerNorm, softmax
or a layer of the user's own, fixes those that go in and come out: they stay.
So do the channels of the model's inputs and outputs.
"""

import collections
import dataclasses
import math

import keras
import numpy as np
from keras import layers

from keras_snn.arithmetic.union_find import UnionFind
from keras_snn.channels.kernel import Kernel
from keras_snn.channels.kinds import APPLIED
from keras_snn.channels.kinds import APPLIED_OPS
from keras_snn.channels.kinds import ELEMENTWISE
from keras_snn.channels.kinds import KEEPING
from keras_snn.channels.kinds import KERNELS
from keras_snn.channels.kinds import MERGING
from keras_snn.channels.kinds import MERGING_OPS
from keras_snn.channels.kinds import PADDING
from keras_snn.channels.kinds import RECURRENT
from keras_snn.channels.kinds import is_op
from keras_snn.channels.kinds import is_plain
from keras_snn.channels.walk import calls
from keras_snn.channels.walk import check_graph
from keras_snn.channels.walk import is_graph
from keras_snn.masking.layer_kinds import DEPTHWISE
from keras_snn.masking.masked_layer import MaskedLayer

CHANNELWISE = (*KEEPING, *PADDING, *APPLIED)
NORMALIZING = (layers.BatchNormalization, layers.GroupNormalization)


@dataclasses.dataclass(frozen=True)
class Step:
    """A call of a layer: of a model inside, the way in and the way out.

    Attributes:
        layer: The layer or operation, out of its `MaskedLayer`.
        inputs: A list of symbolic tensors.
        outputs: A list of symbolic tensors.
        arguments: The arguments by place, tensors and others.
    """

    layer: object
    inputs: list
    outputs: list
    arguments: tuple = ()


class ChannelGraph:
    """The channels of a Functional or Sequential model.

    Models inside, and layers inside a `MaskedLayer`, are part of it.

    Args:
        model: A built Keras model, with masks or without.
        whole_groups: Whether grouped convolutions do so, too: what a group
            reads and writes. Otherwise all groups that stay must be alike.

    Attributes:
        fixed: Bool array: by channel, whether it must stay.
        kernels: A list of `Kernel`.
        alike: A list of int arrays of shape (sets, channels of each): as many
            channels must stay of one set as of another.
        groups: Mapping of the id of a layer with groups to the channels that
            it writes, of shape (groups, channels of each).
        known: The ids of the layers and models whose channels may go.
        steps: A list of `Step`, in order.
        times: How often a layer is called, by its id.
        trains: Whether some call is one of training, whatever the model's is.

    Raises:
        ValueError: If the model is of another kind, whose layers are called by
            code that cannot be looked into.
    """

    def __init__(self, model, *, whole_groups=False):
        check_graph(model)
        self._whole_groups = whole_groups
        self._sets = UnionFind()
        self._tensors = {}  # id of a KerasTensor: its channels
        self._calls = {}  # id of a layer: channels of its inputs, outputs
        self._along = {}  # id of a weight: channels, to broadcast to it
        self._fixed = []
        self._kernels = []
        self._unknown = set()
        self.alike = []
        self.groups = {}
        self.known = set()
        self.steps = []
        self.times = collections.Counter()
        self.trains = False
        inputs = [self._fixed_channels(t) for t in model.inputs]
        self._fixed += self._graph(model, inputs)
        self._finish()

    def along(self, weight):
        """A list of int arrays that broadcast to a weight: its channels."""
        return [self._numbers[c] for c in self._along.get(id(weight), ())]

    def kept(self, weight, kept):
        """Which elements of a weight stay with the channels that are kept.

        Args:
            weight: A weight of the model.
            kept: By channel, whether it stays: a bool array.

        Returns:
            A bool array of the weight's shape.
        """
        stay = np.ones(weight.shape, bool)
        for channels in self.along(weight):
            stay &= kept[channels]
        return stay

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
        self.alike = [numbers[sets] for sets in self.alike]
        self.groups = {
            layer: numbers[channels] for layer, channels in self.groups.items()
        }

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
        self.times[id(layer)] += 1
        arguments = node.arguments.args
        named = node.arguments.kwargs
        self.trains |= any(a is True for a in (*arguments, *named.values()))
        outputs = None
        if id(layer) not in self._unknown and all(
            i is not None for i in inputs
        ):
            outputs = self._rule(layer, inputs, node)
        is_model = isinstance(layer, keras.Model) and outputs is not None
        entered = layer.outputs if is_model else node.input_tensors
        self.steps.append(Step(layer, entered, node.outputs, arguments))
        if outputs is None:
            self._unknown.add(id(layer))
            self.known.discard(id(layer))
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
            return self._once(layer, inputs, self._nested, node)
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
        if kind in RECURRENT:  # Its last states are channels of its outputs.
            outputs = self._once(layer, inputs, self._recurrent)
            return outputs and outputs * len(node.outputs)
        if kind is layers.Bidirectional:
            return self._once(layer, inputs, self._bidirectional)
        if kind in NORMALIZING:
            if layer.axis in (-1, len(shapes[0]) - 1):
                return self._once(layer, inputs, self._normalization)
        elif kind in CHANNELWISE or is_op(layer, APPLIED_OPS):
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

    def _once(self, layer, inputs, rule, *arguments):
        """Applies a rule at the first call; later ones share its channels."""
        if id(layer) not in self._calls:
            outputs = rule(layer, inputs, *arguments)
            if outputs is None:
                return None
            self._calls[id(layer)] = inputs, outputs
        known_inputs, outputs = self._calls[id(layer)]
        for known, channels in zip(known_inputs, inputs, strict=True):
            self._sets.unite(known, channels)
        return outputs

    def _nested(self, model, inputs, node):
        if is_graph(model) and len(model.inputs) == len(inputs):
            self.steps.append(Step(model, node.input_tensors, model.inputs))
            return self._graph(model, inputs)
        return None

    def _kernel(self, layer, inputs):
        attribute, *axes = KERNELS[type(layer)]
        weight, (channels,) = getattr(layer, attribute), inputs
        if attribute == "pointwise_kernel":
            self._along[id(layer.depthwise_kernel)] = [channels[:, None]]
            channels = np.repeat(channels, layer.depth_multiplier)
        outputs = self._sets.new(weight.shape[axes[1]])
        groups = getattr(layer, "groups", 1)
        kernel = Kernel(weight, tuple(axes), channels, outputs, groups)
        if groups > 1:
            self._grouped(layer, kernel)
        self._along[id(weight)] = kernel.numbers()
        self._kernels.append(kernel)
        return [self._biased(layer, outputs)]

    def _grouped(self, layer, kernel):
        inputs, outputs = kernel.by_group()
        self.groups[id(layer)] = outputs
        if self._whole_groups:
            for group in map(np.concatenate, zip(inputs, outputs, strict=True)):
                self._sets.unite(group[1:], group[:-1])

    def _depthwise(self, layer, inputs):
        self._along[id(layer.kernel)] = [inputs[0][:, None]]
        outputs = np.repeat(inputs[0], layer.depth_multiplier)
        return [self._biased(layer, outputs)]

    def _recurrent(self, layer, inputs):
        cell = layer.cell
        functions = {
            cell.activation,
            getattr(cell, "recurrent_activation", None),
        }
        if layer.stateful or not functions <= {*ELEMENTWISE, None}:
            return None
        units = self._sets.new(cell.units)
        gates = np.tile(units, cell.kernel.shape[-1] // cell.units)
        for weight, read in (
            (cell.kernel, inputs[0]),
            (cell.recurrent_kernel, units),
        ):
            kernel = Kernel(weight, (-2, -1), read, gates)
            self._along[id(weight)] = kernel.numbers()
            self._kernels.append(kernel)
        if cell.bias is not None:
            self._along[id(cell.bias)] = [gates]
        return [units]

    def _bidirectional(self, layer, inputs):
        both = layer.forward_layer, layer.backward_layer
        if layer.return_state or not {*map(type, both)} <= {*RECURRENT}:
            return None
        units = [self._recurrent(direction, inputs) for direction in both]
        if None in units:
            return None
        (forward,), (backward,) = units
        # Keras knows the shape of the outputs from one direction.
        self.alike.append(np.stack([forward, backward]))
        if layer.merge_mode is None:
            return [forward, backward]
        if layer.merge_mode == "concat":
            return [np.concatenate([forward, backward])]
        self._sets.unite(forward, backward)
        return [forward]

    def _biased(self, layer, outputs):
        if layer.bias is not None:
            self._along[id(layer.bias)] = [outputs]
        if layer.activation not in ELEMENTWISE:
            self._fixed.append(outputs)
        return outputs

    def _normalization(self, layer, inputs):
        if isinstance(layer, layers.GroupNormalization):
            groups = inputs[0].reshape(layer.groups, -1)
            self.groups[id(layer)] = groups
            for group in groups:
                self._sets.unite(group[1:], group[:-1])
        for weight in layer.weights:
            self._along[id(weight)] = inputs
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
