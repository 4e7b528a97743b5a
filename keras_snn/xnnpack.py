"""Which kernels XNNPACK computes sparse, and what keeps it from the others.

XNNPACK, the CPU code of LiteRT (TFLite), skips zeros in 1x1 convolutions
alone, where it can lay out a part of the network channels first ("Fast Sparse
ConvNets", arXiv:1911.09723; "Sparse Inference" in
tensorflow/lite/delegates/xnnpack/README.md). Such a part

- begins with a 3x3 convolution of strides 2 on 3 channels, padded by 1 on each
  side, which is `ZeroPadding2D(1)` and not "same": at strides 2, TensorFlow
  pads the end alone;
- holds 1x1 convolutions of strides 1; depthwise ones of 3x3 or 5x5, strides 1
  or 2, padded by half their size on each side; BatchNorm after one of these;
  activations; sums and products of its tensors;
- ends with global average pooling, and nothing but that leads out of it;
- has more than 2/3 zeros in its 1x1 convolutions.

It does so on ARM and in WebAssembly, and on x86 without AVX only
(`xnn_is_chw_compatible_config` in its src/xnnpack/hardware-config.h).

A part that begins like that, and is cut off before its end, is worse than one
computed dense: LiteRT.js 2.5.3 gave wrong outputs there, or none. We go by the
conditions in `xnn_check_nchw_compatibility` of its src/subgraph.c, and by what
LiteRT.js was seen to run right.
"""

import collections
import dataclasses

import keras
import numpy as np
from keras import activations
from keras import layers
from keras import ops

from keras_snn.arithmetic.union_find import UnionFind
from keras_snn.channels.kinds import is_op
from keras_snn.channels.walk import calls
from keras_snn.channels.walk import is_graph
from keras_snn.masking.masked_layer import MaskedLayer

ENOUGH = 2 / 3  # Of zeros: more are needed, over all 1x1 kernels of a part.
ACTIVATIONS = {
    activations.elu,
    activations.gelu,
    activations.hard_silu,
    activations.leaky_relu,
    activations.linear,
    activations.relu,
    activations.relu6,
    activations.sigmoid,
    activations.silu,
    activations.tanh,
}
OPS = {"Add", "Multiply", "Relu", "Relu6", "Sigmoid", "Silu", "Tanh"}
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)
KNOWN = (layers.Add, layers.ELU, layers.LeakyReLU, layers.Multiply)
ABSENT = (layers.Dropout, layers.Identity, layers.SpatialDropout2D)


@dataclasses.dataclass(frozen=True)
class SparsePart:
    """What XNNPACK makes of a model, by its structure.

    Attributes:
        kernels: The 1x1 kernels, `keras.Variable`s, that it computes sparse
            once more than `ENOUGH` of their weights are zero.
        cut_off: Those in a part that begins as it must, but does not end so.
        reasons: Texts: what keeps it from computing others sparse.
    """

    kernels: tuple
    cut_off: tuple
    reasons: tuple


def sparse_part(model):
    """Which kernels of a model XNNPACK computes sparse, a `SparsePart`."""
    if not is_graph(model):
        text = "its layers are called by code that cannot be looked into"
        return SparsePart((), (), (text,))
    return _Network(model).part()


def enough_zeros(kernels):
    """Whether so many of the weights are zero that XNNPACK skips zeros."""
    arrays = [ops.convert_to_numpy(kernel) for kernel in kernels]
    zeros = sum(int(np.sum(array == 0)) for array in arrays)
    return 3 * zeros > 2 * sum(array.size for array in arrays)


@dataclasses.dataclass
class _Step:
    """A layer's call; tensors are numbers."""

    layer: object
    inputs: list
    outputs: list
    shape: tuple  # Of its first input.
    padding: tuple = ((0, 0), (0, 0))
    kind: str | None = None  # "in", "through", "out"; None: channels last.


class _Network:
    """The calls of a model as XNNPACK gets them: models inside unfolded."""

    def __init__(self, model):
        self.steps = []
        self._tensors = 0
        inputs = self._new(len(model.inputs))
        self.external = {*inputs, *self._unfold(model, inputs)}
        self._connect()
        self._fuse()
        self.reasons = {}  # By name of a layer, in the order of the graph.
        for step in self.steps:
            step.kind, reason = _kind(step)
            if reason:
                self.reasons[step.layer.name] = reason

    def part(self):
        """What XNNPACK makes of the network, a `SparsePart`."""
        numbers, cut = self._connected()
        parts = collections.defaultdict(list)
        for step, number in zip(self.steps, numbers, strict=True):
            parts[number].append(step)
        begun = {n for n, part in parts.items() if _has(part, "in")}
        ended = _has(self.steps, "out")
        return SparsePart(
            _pointwise(parts, begun - cut),
            _pointwise(parts, begun & cut) if ended else (),
            tuple(self.reasons.values()) or ("it has no 1x1 convolutions",),
        )

    def _connected(self):
        """The number of each step's part, and those of parts cut off."""
        sets, cuts = UnionFind(len(self.steps)), []
        places = {id(step): [n] for n, step in enumerate(self.steps)}
        for step in self.steps:
            if step.kind in ("through", "out"):
                for tensor in step.inputs:
                    before = self.producers.get(tensor)
                    if before and before.kind and tensor not in self.external:
                        sets.unite(places[id(step)], places[id(before)])
                    else:
                        cuts.append(step)
                        self._blame(before, step)
            if step.kind in ("in", "through"):
                for after in self._readers(step.outputs[0]):
                    if after is None or after.kind in (None, "in"):
                        cuts.append(step)
                        self._blame(after, step)
        numbers = sets.representatives()
        return numbers, {numbers[places[id(step)][0]] for step in cuts}

    def _readers(self, tensor):
        """The steps that read a tensor; None for the user of the model."""
        of_user = [None] * (tensor in self.external)
        return [*self.consumers[tensor], *of_user]

    def _blame(self, other, step):
        """Says that a layer next to a step keeps it from its part."""
        if other is None or other.kind is not None:
            name, reason = step.layer.name, "reads or gives the model's tensors"
            self.reasons.setdefault(name, f"{name!r} {reason}")
        else:
            name, kind = other.layer.name, type(other.layer).__name__
            reason = f"{name!r}, a {kind}, is not computed channels first"
            self.reasons.setdefault(name, reason)

    def _new(self, count):
        self._tensors += count
        return list(range(self._tensors - count, self._tensors))

    def _unfold(self, model, inputs):
        known = dict(zip(map(id, model.inputs), inputs, strict=True))
        for node in calls(model):
            given = [known[id(tensor)] for tensor in node.input_tensors]
            outputs = self._call(node, given)
            known.update(zip(map(id, node.outputs), outputs, strict=True))
        return [known[id(tensor)] for tensor in model.outputs]

    def _call(self, node, given):
        layer = node.operation
        while isinstance(layer, MaskedLayer):
            layer = layer.layer
        if isinstance(layer, keras.Model) and is_graph(layer):
            return self._unfold(layer, given)
        if type(layer) in ABSENT:
            return given
        outputs = self._new(len(node.outputs))
        shape = node.input_tensors[0].shape if node.input_tensors else ()
        self.steps.append(_Step(layer, given, outputs, tuple(shape)))
        return outputs

    def _connect(self):
        self.producers = {t: step for step in self.steps for t in step.outputs}
        self.consumers = collections.defaultdict(list)
        for step in self.steps:
            for tensor in step.inputs:
                self.consumers[tensor].append(step)

    def _fuse(self):
        """Makes padding and BatchNorm part of the convolution beside them."""
        fused = []
        for step in self.steps:
            before = self.producers.get(step.inputs[0]) if step.inputs else None
            if before is None or self._is_shared(step.inputs[0]):
                continue
            first, second = type(before.layer), type(step.layer)
            if first is layers.ZeroPadding2D and second in CONVOLUTIONS:
                if step.layer.padding == "valid":
                    step.padding = before.layer.padding
                    step.inputs = before.inputs
                    fused.append(before)
            elif first in CONVOLUTIONS and second is layers.BatchNormalization:
                if before.layer.activation is activations.linear:
                    before.outputs = step.outputs
                    self.producers[step.outputs[0]] = before
                    fused.append(step)
        self.steps = [s for s in self.steps if not any(s is f for f in fused)]
        self._connect()

    def _is_shared(self, tensor):
        return tensor in self.external or len(self.consumers[tensor]) > 1


def _kind(step):
    """The kind of a step, and what is wrong with it, if it could be another."""
    layer = step.layer
    if len(step.shape) != 4:
        return None, None
    if type(layer) in CONVOLUTIONS:
        return _kind_of_convolution(step)
    if type(layer) is layers.GlobalAveragePooling2D:
        return ("out" if layer.data_format == "channels_last" else None), None
    if type(layer) is layers.ReLU:
        known = not layer.negative_slope and not layer.threshold
        known = known and layer.max_value in (None, 6)
    elif type(layer) is layers.Activation:
        known = layer.activation in ACTIVATIONS
    else:
        known = type(layer) in KNOWN or is_op(layer, OPS)
        if is_op(layer, {"Add", "Multiply"}):
            known = len(step.inputs) == 2  # No constant.
    return "through" if known else None, None


def _kind_of_convolution(step):
    layer = step.layer
    name, size, strides = layer.name, layer.kernel_size, layer.strides
    plain = (
        layer.data_format == "channels_last"
        and set(layer.dilation_rate) == {1}
        and getattr(layer, "groups", 1) == 1
        and layer.activation in ACTIVATIONS
    )
    half = tuple((n // 2, n // 2) for n in size)
    if layer.padding == "valid":
        is_padded = step.padding == half
    else:  # As TensorFlow pads: evenly at strides 1 alone.
        is_padded = set(strides) == {1}
    if type(layer) is layers.DepthwiseConv2D:
        known = (
            plain and size in ((3, 3), (5, 5)) and layer.depth_multiplier == 1
        )
        kind, allowed = "through", ((1, 1), (2, 2))
    elif size == (1, 1):
        known, kind, allowed = plain, "through", ((1, 1),)
    else:
        known = plain and size == (3, 3) and step.shape[-1] == 3
        kind, allowed = "in", ((2, 2),)
    if known and strides in allowed and is_padded:
        return kind, None
    if known and strides in allowed:
        return None, (
            f"{name!r} must be padded by {half[0][0]} on each side: put "
            f"ZeroPadding2D({half[0][0]}) before it, with padding='valid'"
        )
    return None, (
        f"{name!r}, a {type(layer).__name__} of {size[0]}x{size[1]} on "
        f"{step.shape[-1]} channels with strides {strides}, is of no kind that "
        "it computes channels first"
    )


def _has(steps, kind):
    return any(step.kind == kind for step in steps)


def _pointwise(parts, numbers):
    """The 1x1 kernels of these parts."""
    return tuple(
        step.layer.kernel
        for number in sorted(numbers)
        for step in parts[number]
        if type(step.layer) is layers.Conv2D and step.kind == "through"
    )
