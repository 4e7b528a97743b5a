"""From a model with masks to one that computes sparse, and back."""

import math

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_snn.checks import check_integer
from keras_snn.compute import timing
from keras_snn.compute.sparse_conv import SparseConv2D
from keras_snn.compute.sparse_dense import SparseDense
from keras_snn.compute.sparse_layer import PAYS
from keras_snn.compute.sparse_layer import SparseLayer
from keras_snn.masking.keras_private import functional_class
from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.masked_layer import MaskedLayer
from keras_snn.masking.set_masks import set_masks
from keras_snn.masking.sparse_model import SparseModel
from keras_snn.masking.sparse_model import around
from keras_snn.masking.weight_owners import weight_owners

POLICIES = ("auto", "measured", "all")
SMALL = 1 << 14  # Multiplications: below, a call costs more than it saves.
# Regularizers to which zeros add nothing, and that look at no shape.
SUMS = (
    type(None),
    keras.regularizers.L1,
    keras.regularizers.L2,
    keras.regularizers.L1L2,
)
SHARED = (
    "name",
    "trainable",
    "dtype",
    "activation",
    "use_bias",
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
)


def to_sparse(model, policy="auto", *, batch_size=32):
    """Makes a model with masks compute sparse, where that is faster.

    Dense and Conv2D layers become `SparseDense` and `SparseConv2D`, which
    store the nonzeros alone; the others stay masked. Masks, paths and random
    draws are the same, so what trains one trains the other. Layers that are
    sparse already, and have lost nonzeros, give up the room for them.

    Args:
        model: A Functional or Sequential model with masks, as `sparsify` makes
            it. It stays as it is; compile what is returned.
        policy: Which layers become sparse. `"auto"`: those of a sparsity of
            0.7 that, dense, multiply at least 16384 times for a vector or an
            image: weights, times pixels of the output where they convolve.
            `"measured"`: those of a sparsity of 0.7 whose training step, timed
            here layer by layer, is faster when sparse; that takes seconds a
            layer, and is for a machine that does nothing else. `"all"`: all
            that can. `keras_snn.summary` shows which did, and why the others
            did not.
        batch_size: Int >= 1, of the step that `"measured"` times.

    Returns:
        A `keras.Model` with weights of its own, not compiled.

    Raises:
        ValueError: If the policy is unknown, the model has no masks or is
            neither Functional nor Sequential, its masks are not on it as a
            whole or keep what is outside, or no layer becomes sparse.

    Example:

    ```python
    model = keras_snn.to_sparse(keras_snn.sparsify(model, 0.95))
    model.compile("adam", "mse")
    ```
    """
    if policy not in POLICIES:
        raise ValueError(
            f"Argument `policy` must be one of {POLICIES}, or nothing says "
            "which layers are to compute sparse. "
            f"Received: {policy=!r}"
        )
    check_integer("batch_size", batch_size, 1, "of the step that is timed")
    masked, weights = _of_graph(model)
    reasons = {
        path: _why_masked(each, policy, batch_size)
        for path, each in weights.items()
        if each.computes == "masked"
    }
    made = {
        id(weights[path].owner.layer): weights[path]
        for path, reason in reasons.items()
        if reason is None
    }
    reasons = {path: reason for path, reason in reasons.items() if reason}
    if len(reasons) == len(weights):
        raise ValueError(
            "A model computes sparse if one of its layers can: Dense or "
            "Conv2D, channels last, without groups, dilation or constraints, "
            f"and, by the policy 'auto', of at least {SMALL} multiplications "
            f"and a sparsity of {PAYS}, or, by 'measured', of that and faster. "
            f"Received: {model.name!r}, which has none, "
            f"and {policy=!r}: {reasons}"
        )

    def convert(layer):
        if isinstance(layer, SparseLayer):  # Without room for more.
            room = max(len(layer.positions()), 1)
            config = layer.get_config() | {"nonzeros": room}
            return type(layer).from_config(config)
        if id(layer) not in made:
            return _again(layer)
        return _sparse(layer, made[id(layer)].active_count())

    def fill(layer, new):
        if isinstance(layer, SparseLayer):
            positions = layer.positions()
            values = ops.convert_to_numpy(layer.values.value)
            new.set_nonzeros(positions, values[: len(positions)])
        else:
            new.set_nonzeros(*_nonzeros(made[id(layer)]))
        if new.bias is not None:
            _copy(layer.bias, new.bias)

    return _rebuilt(model, masked, weights, convert, fill, reasons)


def to_dense(model):
    """Makes layers that compute sparse dense ones with masks, for export.

    Args:
        model: What `to_sparse` returned, or any Functional or Sequential model
            with sparse layers.

    Returns:
        A `keras.Model` with masks and weights of its own, not compiled.

    Raises:
        ValueError: If the model has no masks, or is neither Functional nor
            Sequential.

    Example:

    ```python
    masked = keras_snn.to_dense(sparse)
    keras_snn.prune_channels(masked, 0.5)  # Which looks at whole kernels.
    ```
    """
    masked, weights = _of_graph(model)

    def convert(layer):
        return (
            _dense(layer) if isinstance(layer, SparseLayer) else _again(layer)
        )

    def fill(layer, new):
        new.kernel.assign(layer.kernel_array())
        if new.bias is not None:
            _copy(layer.bias, new.bias)

    return _rebuilt(model, masked, weights, convert, fill)


def _of_graph(model):
    """The masked layer around a graph of layers, or None, and its weights."""
    weights = masked_weights(model)
    wrappers = masked_layers(model)
    whole = isinstance(model, SparseModel) or not wrappers
    inner = wrappers[0].layer if wrappers else model
    if not whole or type(inner) not in (functional_class(), keras.Sequential):
        raise ValueError(
            "A model is taken apart to compute sparse, so it must be "
            "Functional or Sequential, with the masks that `sparsify` puts "
            f"around it. Received: {model.name!r}, a {type(inner).__name__}"
        )
    if any(each.keeps_inactive for each in weights.values()):
        raise ValueError(
            "Layers that store only nonzeros cannot train weights outside the "
            f"masks. Received: {model.name!r}, whose wrapper does"
        )
    return (wrappers or [None])[0], weights


def _why_masked(masked, policy, batch_size):
    """Why a layer does not become sparse; None if it does."""
    layer, kind = masked.owner.layer, type(masked.owner.layer)
    if kind not in (layers.Dense, layers.Conv2D):
        return "neither Dense nor Conv2D"
    odd = (
        "activity_regularizer",
        "kernel_constraint",
        "bias_constraint",
        "quantization_mode",
        "lora_enabled",
    )
    for name in odd:
        if getattr(layer, name, None):
            return f"it has a {name}"
    if type(layer.kernel_regularizer) not in SUMS:
        return "a kernel_regularizer that may look at zeros"
    if kind is layers.Conv2D:
        if layer.data_format != "channels_last":
            return "channels first"
        if layer.groups != 1 or set(layer.dilation_rate) != {1}:
            return "groups or dilation"
    if policy == "all":
        return None
    shape = layer.get_build_config()["input_shape"][1:]
    measured = policy == "measured" and None not in shape
    if not measured and masked.size * _pixels(layer, shape) < SMALL:
        return f"slower: fewer than {SMALL} multiplications"
    if masked.active_count() > (1 - PAYS) * masked.size:
        return f"slower: a sparsity below {PAYS}"
    if not measured:
        return None
    sparse = _sparse(layer, masked.active_count())
    ratio = timing.speedup(_again(layer), sparse, shape, batch_size)
    return None if ratio > 1 else f"slower: {ratio:.2f} of dense speed"


def _pixels(layer, input_shape):
    """How often an image meets each weight; 1 where that is not known."""
    if isinstance(layer, layers.Dense) or None in input_shape:
        return 1
    return math.prod(layer.compute_output_shape((None, *input_shape))[1:-1])


def _sparse(layer, count):
    config, room = layer.get_config(), max(count, 1)
    options = {key: config[key] for key in SHARED} | {"nonzeros": room}
    options["sparsity"] = 1 - room / math.prod(layer.kernel.shape)
    if isinstance(layer, layers.Dense):
        return SparseDense.from_config({"units": layer.units, **options})
    return SparseConv2D.from_config(
        {
            "filters": layer.filters,
            "kernel_size": layer.kernel_size,
            "strides": layer.strides,
            "padding": layer.padding,
            **options,
        }
    )


def _dense(layer):
    config = layer.get_config()
    options = {key: config[key] for key in SHARED}
    if isinstance(layer, SparseDense):
        return layers.Dense.from_config({"units": layer.units, **options})
    return layers.Conv2D.from_config(
        {
            "filters": layer.filters,
            "kernel_size": layer.kernel_size,
            "strides": layer.strides,
            "padding": layer.padding,
            "data_format": "channels_last",
            **options,
        }
    )


def _again(layer):
    return type(layer).from_config(layer.get_config())


def _copy(old, new):
    # Through an array of its own: JAX gives up the memory of what it trains.
    new.assign(np.array(ops.convert_to_numpy(old.value)))


def _nonzeros(masked):
    positions = np.flatnonzero(masked.mask_array())
    return positions, masked.weight_array().flat[positions]


def _rebuilt(model, masked, weights, convert, fill, reasons=None):
    """A copy of a model whose layers are made by `convert`.

    Args:
        model: The model.
        masked: The `MaskedLayer` of its masks, or None.
        weights: Its `masked_weights`.
        convert: A function of a layer, that returns another one.
        fill: A function of a layer and the other one, that fills in the
            latter's weights, where that is sparse or of another kind.
        reasons: Dict of path to why that weight stays masked, for `summary`.
    """
    made = []

    def convert_and_tell(layer):
        made.append((layer, convert(layer)))
        return made[-1][1]

    inner = keras.models.clone_model(
        model if masked is None else masked.layer,
        clone_function=convert_and_tell,
        recursive=True,
    )
    for layer, new in made:
        if isinstance(new, SparseLayer) or type(layer) is not type(new):
            fill(layer, new)
            continue
        for old, variable in zip(layer.variables, new.variables, strict=True):
            _copy(old, variable)
    owners = {owner.path: owner for owner in weight_owners(inner)}
    stored = [
        owners[path].index
        for path in weights
        if not isinstance(owners[path].layer, SparseLayer)
    ]
    new_masked = MaskedLayer(
        inner, stored, name=f"masked_{inner.name}", why_masked=reasons
    )
    sparse = around(new_masked, name=model.name)
    set_masks(
        sparse,
        {
            path: each.mask_array()
            for path, each in weights.items()
            if owners[path].index in stored
        },
        requested=None if masked is None else masked.requested_sparsity,
        keep_layers=False,  # What is empty already stays so.
    )
    return sparse
