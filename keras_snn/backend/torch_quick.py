"""What Keras 3.15 does on PyTorch more often than it need, done once.

An attack runs a network eleven times a step, and around sparse layers there is
little else to do. Keras copies what a layer convolves or pools with its
channels first, and a convolution's result back again, goes through what it
normalises three times, and far more often to train, and looks for masks, casts
and hooks in each call of a layer. Without: the same numbers, but for rounding.
"""

import contextlib
import functools
import inspect
import threading

import torch
from keras import layers
from keras import ops
from keras.src.backend import get_autocast_scope
from keras.src.backend.torch import nn as keras_nn
from torch.nn.modules import module


@contextlib.contextmanager
def quickly():
    """Lets Keras call layers with less work around them, but while it compiles.

    Threads may be within at once: each of these functions knows when it is not
    to be taken.
    """
    if torch.compiler.is_compiling():
        yield
        return
    _enter(1)
    try:
        yield
    finally:
        _enter(-1)


def quick(function):
    """Run a function that calls layers with less work around them."""
    return quickly()(function)


def _enter(change):
    """Count those within; the first puts what is quick in its place, for good.

    A change of the class of all layers takes Python what it has cached of any
    of them, and after a thousand, Python 3.13 caches no more.
    """
    global _within
    with _LOCK:
        _within += change
        for (place, name), function in _QUICK.items():
            if getattr(place, name) is not function:
                setattr(place, name, function)


def _where_within(quick, keras_own):
    @functools.wraps(keras_own)
    def call(*args, **kwargs):
        return (quick if _within else keras_own)(*args, **kwargs)

    return call


def _call(layer, *args, **kwargs):
    """What calling a layer gives; at once, if nothing is to be done around."""
    kind = type(layer)
    plain = kind in _PLAIN or "IS_PLAIN" in vars(kind)
    if plain and len(args) == 1 and kwargs.keys() <= _KNOWN:
        inputs, training = args[0], kwargs.get("training")
        given = {"training": training} if _PLAIN.get(kind) else {}
        if (
            None not in given.values()
            and kwargs.get("mask") is None
            and _are_plain(inputs if isinstance(inputs, list) else [inputs])
            and _is_plain(layer)
        ):
            layer._assert_input_compatibility(inputs)
            if kind is layers.BatchNormalization:
                return _batch_norm(layer, inputs, **given)
            return layer.call(inputs, **given)
    return _OF_KERAS[layers.Layer, "__call__"](layer, *args, **kwargs)


def _is_plain(layer):
    """Whether a call of a layer is one of its method `call`, and no more."""
    return (
        layer.built
        and layer.dtype_policy.name == "float32"
        and layer.activity_regularizer is None
        and not layer._remat_mode
        and get_autocast_scope() is None
        and not any(getattr(layer, hooks) for hooks in _HOOKS)
        and not any(getattr(module, f"_global{hooks}") for hooks in _HOOKS)
    )


def _are_plain(tensors):
    """Whether tensors are such as a layer need not look at, masks and all."""
    return all(
        isinstance(tensor, torch.Tensor)
        and tensor.dtype is torch.float32
        and not hasattr(tensor, "_keras_mask")
        for tensor in tensors
    )


def _channels_first_view(inputs):
    if inputs.ndim != 4:
        return _OF_KERAS[keras_nn, "_transpose_spatial_inputs"](inputs)
    return inputs.permute(0, 3, 1, 2)


def _batch_norm(layer, inputs, training):
    """What calling a BatchNormalization gives, in training by PyTorch's own.

    That goes through the inputs less often each way, and loses no digits of the
    variance where the mean is far from 0, as Keras's does.
    """
    count = inputs.numel() // inputs.shape[-1]
    if (
        not (training and layer.trainable)
        or layer.renorm
        or layer.synchronized
        or layer.axis not in (-1, inputs.ndim - 1)
        or count < 2
    ):
        return layer.call(inputs, training=training)
    mean, variance = inputs.new_zeros((2, inputs.shape[-1]))
    gamma, beta = (
        None if weight is None else ops.convert_to_tensor(weight)
        for weight in (layer.gamma, layer.beta)
    )
    outputs, _, _ = torch.native_batch_norm(
        inputs.reshape(count, -1), gamma, beta, mean, variance, True, 1.0,
        layer.epsilon,
    )  # fmt: skip
    # PyTorch's is the unbiased estimate.
    variance = variance * ((count - 1) / count)
    keep = layer.momentum
    for moving, now in (
        (layer.moving_mean, mean),
        (layer.moving_variance, variance),
    ):
        moving.assign(moving * keep + now * (1 - keep))
    return outputs.reshape(inputs.shape)


def _normalized(x, mean, variance, axis, offset=None, scale=None, epsilon=1e-3):
    """What Keras's `batch_normalization` gives, in one pass over `x`."""
    given = (mean, variance, axis, offset, scale, epsilon)
    x, mean, variance = map(ops.convert_to_tensor, (x, mean, variance))
    factor = torch.rsqrt(variance + epsilon)
    if scale is not None:
        factor = factor * ops.convert_to_tensor(scale)
    # Not in training: where the mean is far from 0, gradients by what is
    # trained would lose digits.
    if mean.requires_grad or factor.requires_grad:
        return _OF_KERAS[keras_nn, "batch_normalization"](x, *given)
    start = -mean * factor
    if offset is not None:
        start = start + ops.convert_to_tensor(offset)
    shape = [1] * x.ndim
    shape[axis] = -1
    return torch.addcmul(start.reshape(shape), x, factor.reshape(shape))


# Layers whose method `call` does all, and whether that takes `training`. Those
# of this package say so themselves, by `IS_PLAIN`, and take none.
_PLAIN = {
    kind: "training" in inspect.signature(kind.call).parameters
    for kind in (
        layers.Activation,
        layers.Add,
        layers.AveragePooling2D,
        layers.BatchNormalization,
        layers.Concatenate,
        layers.Conv2D,
        layers.Dense,
        layers.DepthwiseConv2D,
        layers.Dropout,
        layers.Flatten,
        layers.GlobalAveragePooling2D,
        layers.LeakyReLU,
        layers.MaxPooling2D,
        layers.ReLU,
        layers.ZeroPadding2D,
    )
}
_KNOWN = {"training", "mask"}
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_QUICK = {
    (keras_nn, "_transpose_spatial_inputs"): _channels_first_view,
    (keras_nn, "batch_normalization"): _normalized,
    (layers.Layer, "__call__"): _call,
}
_OF_KERAS = {
    (place, name): getattr(place, name)
    for place, name in _QUICK
    if hasattr(place, name)
}
_QUICK = {
    place: _where_within(_QUICK[place], keras_own)
    for place, keras_own in _OF_KERAS.items()
}
_LOCK = threading.Lock()
_within = 0
