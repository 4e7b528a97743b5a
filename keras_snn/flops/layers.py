"""FLOPs of each layer: which kernels there are, and how often they are used.

The rule is told in `counting.py`.
"""

import contextlib
import math

import keras
from keras import layers
from keras import ops

from keras_snn.masking.layer_kinds import TRANSPOSED
from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.weight_owners import weight_owners

CONVOLUTIONS = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
)
COUNTED = (*CONVOLUTIONS, *TRANSPOSED, layers.Dense, layers.EinsumDense)


def layer_flops(model, input_shape=None):
    """FLOPs of each kernel with all its weights active, for one sample.

    A layer that is called twice counts twice. The model runs once, on zeros.

    Args:
        model: A built Keras model with one input.
        input_shape: Shape of a sample, without batch. Defaults to that of the
            model; needed where it has none, or an unknown size in it.

    Returns:
        A dict of weight path, as in `keras_snn.get_masks`, to an int.

    Raises:
        ValueError: If the shape of a sample is not known, or a layer has a
            kernel whose FLOPs are not.
    """
    found = kernels(model)
    uses = dict.fromkeys(found, 0)
    paths = {}
    for path, (layer, weight) in found.items():
        paths.setdefault(layer, []).append((path, weight))

    def count(layer, inputs, outputs):
        for path, weight in paths[layer]:
            uses[path] += _uses(layer, weight, inputs.shape, outputs.shape)

    with _watched(paths, count):
        model(_zeros(model, input_shape), training=False)
    return {
        path: 2 * uses[path] * math.prod(weight.shape)
        for path, (_, weight) in found.items()
    }


def kernels(model):
    """The kernels that are counted.

    Args:
        model: A built Keras model, with masks or without.

    Returns:
        A dict of weight path, as in `keras_snn.get_masks`, to a pair
        `(layer, weight)`.

    Raises:
        ValueError: If a layer has a kernel whose FLOPs are not known.
    """
    wrappers = masked_layers(model)
    masked = masked_weights(model) if wrappers else {}
    path_of = {id(m.weight): path for path, m in masked.items()}
    owners = {
        id(owner.weight): owner
        # Those inside a wrapper last: their paths are what masks go by.
        for layer in (model, *(wrapper.layer for wrapper in wrappers))
        for owner in weight_owners(layer)
    }
    found, taken = {}, set(masked)
    for identity, owner in owners.items():
        if not owner.is_kernel or isinstance(owner.layer, layers.Embedding):
            continue
        if isinstance(owner.layer, COUNTED):
            path = path_of.get(identity) or _unique(owner.path, taken)
            found[path] = (owner.layer, owner.weight)
        elif owner.weight.trainable:
            raise ValueError(
                "FLOPs are known of Dense, EinsumDense and convolutions alone. "
                f"Received: {owner.path!r} of a {type(owner.layer).__name__}"
            )
    return found


def _unique(path, taken):
    while path in taken:
        path += "_2"
    taken.add(path)
    return path


def _uses(layer, weight, inputs, outputs):
    """How often each weight of a kernel is multiplied, in one call."""
    if isinstance(layer, layers.EinsumDense):
        return math.prod(inputs) // _contracted(layer, weight)
    if isinstance(layer, layers.Dense):
        return math.prod(inputs[:-1])
    shape = inputs if isinstance(layer, TRANSPOSED) else outputs
    if layer.data_format == "channels_first":
        return shape[0] * math.prod(shape[2:])
    return math.prod(shape[:-1])


def _contracted(layer, weight):
    """The sizes, multiplied, of the axes that kernel and input share."""
    operands = layer.equation.replace(" ", "").partition("->")[0]
    inputs, kernel = operands.replace("...", "").split(",")
    return math.prod(
        size
        for letter, size in zip(kernel, weight.shape, strict=True)
        if letter in inputs
    )


@contextlib.contextmanager
def _watched(watched, count):
    """Calls `count(layer, inputs, outputs)` for each call of these layers."""

    def watch(layer):
        call = layer.call

        def counting(inputs, *args, **kwargs):
            outputs = call(inputs, *args, **kwargs)
            count(layer, inputs, outputs)
            return outputs

        layer.call = counting

    try:
        for layer in watched:
            watch(layer)
        yield
    finally:
        for layer in watched:
            vars(layer).pop("call", None)


def _zeros(model, input_shape):
    known = getattr(model, "inputs", None) or [None]
    if input_shape is None and len(known) == 1 and known[0] is not None:
        input_shape = known[0].shape[1:]
    if input_shape is None or None in input_shape:
        raise ValueError(
            "Argument `input_shape` must tell the shape of a sample where the "
            f"model, {model.name!r}, does not. Received: input_shape="
            f"{input_shape}"
        )
    dtype = known[0].dtype if known[0] is not None else keras.config.floatx()
    return ops.zeros((1, *input_shape), dtype)
