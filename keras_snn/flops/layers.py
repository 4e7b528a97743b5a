"""FLOPs of each layer: which kernels there are, and how often they are used.

The rule is in `counting.py`.
"""

import math

import keras
from keras import layers
from keras import ops

from keras_snn.compute.sparse_conv import SparseConv2D
from keras_snn.compute.sparse_dense import SparseDense
from keras_snn.layer_outputs import calls_shown
from keras_snn.masking.layer_kinds import TRANSPOSED
from keras_snn.masking.mask_state import has_masks
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
    SparseConv2D,
)
PRODUCTS = (layers.Dense, SparseDense)
COUNTED = (*CONVOLUTIONS, *TRANSPOSED, *PRODUCTS, layers.EinsumDense)


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

    Example:

    ```python
    total = sum(layer_flops(model).values())
    ```
    """
    found = kernels(model)
    uses = dict.fromkeys(found, 0)
    paths = {}
    for path, owner in found.items():
        paths.setdefault(owner.layer, []).append((path, owner.shape))

    def count(layer, inputs, outputs):
        for path, shape in paths[layer]:
            uses[path] += _uses(layer, shape, inputs.shape, outputs.shape)

    with calls_shown(paths, count):
        model(_zeros(model, input_shape), training=False)
    return {
        path: 2 * uses[path] * math.prod(owner.shape)
        for path, owner in found.items()
    }


def kernels(model):
    """The kernels that are counted.

    Args:
        model: A built Keras model, with masks or without.

    Returns:
        A dict of weight path, as in `keras_snn.get_masks`, to the
        `WeightOwner`.

    Raises:
        ValueError: If a layer has a kernel whose FLOPs are not known.
    """
    wrappers = masked_layers(model)
    masked = masked_weights(model) if has_masks(model) else {}
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
            found[path] = owner
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


def _uses(layer, kernel, inputs, outputs):
    """How often each weight of a kernel is multiplied, in one call."""
    if isinstance(layer, layers.EinsumDense):
        return math.prod(inputs) // _contracted(layer, kernel)
    if isinstance(layer, PRODUCTS):
        return math.prod(inputs[:-1])
    shape = inputs if isinstance(layer, TRANSPOSED) else outputs
    channels_last = isinstance(layer, SparseConv2D)
    if not channels_last and layer.data_format == "channels_first":
        return shape[0] * math.prod(shape[2:])
    return math.prod(shape[:-1])


def _contracted(layer, shape):
    """The sizes, multiplied, of the axes that kernel and input share."""
    operands = layer.equation.replace(" ", "").partition("->")[0]
    inputs, kernel = operands.replace("...", "").split(",")
    return math.prod(
        size
        for letter, size in zip(kernel, shape, strict=True)
        if letter in inputs
    )


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
