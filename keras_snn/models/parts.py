"""What the networks share: checks, normalisation, BatchNorm, head, weights."""

import math
import numbers
import zlib

import keras
import numpy as np

from keras_snn.checks import check_integer

# Mean and standard deviation of the training pixels, from the code of
# "Are Sparse Neural Networks Better Hard Sample Learners?" (arXiv 2409.09196).
STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "tiny_imagenet": ((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)),
}


def check(input_shape, classes, width, normalization, seed, smallest):
    """Raises ValueError for what no network can be built from."""
    if np.shape(input_shape) != (3,) or not all(map(_is_count, input_shape)):
        raise ValueError(
            "Argument `input_shape` must be three positive integers, (rows, "
            f"cols, channels). Received: input_shape={input_shape}"
        )
    if min(input_shape[:2]) < smallest:
        raise ValueError(
            f"Argument `input_shape` must have at least {smallest} rows and "
            "cols, or the network's strides leave nothing of the image. "
            f"Received: input_shape={input_shape}"
        )
    check_integer("classes", classes, 1, "the number of logits")
    if not isinstance(width, numbers.Real) or not 0 < width < math.inf:
        raise ValueError(
            "Argument `width` must be a positive number, the factor on every "
            f"layer's channels. Received: width={width!r}"
        )
    check_integer("seed", seed, 0, "which the weights are drawn by")
    if normalization is not None:
        statistics(normalization, input_shape[-1])


def statistics(normalization, channels):
    """The mean and standard deviation meant, each of shape (channels,)."""
    error = ValueError(
        f"Argument `normalization` must be None, one of {sorted(STATISTICS)} "
        "or a pair (mean, std) with std > 0, each a number or one number a "
        f"channel ({channels}). Received: normalization={normalization!r}"
    )
    try:
        if isinstance(normalization, str):
            normalization = STATISTICS[normalization]
        mean, std = (
            np.broadcast_to(np.asarray(value, "float64"), (channels,))
            for value in normalization
        )
    except (KeyError, TypeError, ValueError) as cause:
        raise error from cause
    if not (np.isfinite([mean, std]).all() and std.min() > 0):
        raise error
    return mean, std


def normalized(image, normalization):
    """`(image - mean) / std`, by a layer that Keras can save by itself."""
    if normalization is None:
        return image
    mean, std = statistics(normalization, image.shape[-1])
    return keras.layers.Rescaling(
        (1 / std).tolist(), (-mean / std).tolist(), name="normalization"
    )(image)


def scaled(channels, width):
    """`channels * width`, rounded, and at least 1."""
    return max(1, round(channels * width))


def batch_norm(name):
    """BatchNorm with PyTorch's constants, which the paper's code uses."""
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=name
    )


def blank_kernels():
    """A scope in which a kernel starts as zeros where Keras would draw it.

    `classifier` draws every kernel. What was drawn before would be lost, and
    would cost JAX a compilation for each shape.
    """
    zeros = {"glorot_uniform": keras.initializers.Zeros}
    return keras.saving.custom_object_scope(zeros)


def dense(units, name, use_bias=True):
    """A linear layer whose kernel is yet to be drawn."""
    return keras.layers.Dense(
        units, use_bias=use_bias, kernel_initializer="zeros", name=name
    )


def classifier(image, features, classes, seed, name, *, use_bias):
    """The model that ends in a linear layer, with its kernels drawn."""
    logits = dense(classes, "logits", use_bias)
    model = keras.Model(image, logits(features), name=name)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            drawn = he_normal(layer.kernel.shape, seed, layer.name)
            layer.kernel.assign(drawn)
            layer.kernel_initializer = keras.initializers.HeNormal()
    return model


def he_normal(shape, seed, name):
    """A kernel's initial weights, drawn in NumPy: the same on every backend.

    "Delving Deep into Rectifiers", https://arxiv.org/abs/1502.01852: normal,
    with variance 2 / fan_in.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    std = math.sqrt(2 / math.prod(shape[:-1]))
    return rng.standard_normal(shape, "float32") * np.float32(std)


def _is_count(value):
    return isinstance(value, numbers.Integral) and value >= 1
