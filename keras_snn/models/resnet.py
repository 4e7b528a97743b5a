"""ResNet18 and ResNet34, from keras-cv's ResNetBackbone.

"Deep Residual Learning for Image Recognition", arXiv 1512.03385.
"""

import re

import keras

from keras_snn.extras import keras_cv
from keras_snn.models.parts import batch_norm
from keras_snn.models.parts import blank_kernels
from keras_snn.models.parts import check
from keras_snn.models.parts import classifier
from keras_snn.models.parts import normalized
from keras_snn.models.parts import scaled

STEMS = {
    "cifar": {"kernel_size": 3, "strides": 1},
    "tiny": {"kernel_size": 7, "strides": 2},
}
PARTS = {
    "0_conv": "shortcut",
    "0_bn": "shortcut_bn",
    "1_conv": "conv1",
    "1_bn": "conv1_bn",
    "1_relu": "conv1_relu",
    "2_conv": "conv2",
    "2_bn": "conv2_bn",
    "add": "add",
    "out": "relu",
}


def resnet18(
    input_shape,
    classes,
    *,
    width=1.0,
    stem="cifar",
    normalization=None,
    seed=0,
    name="resnet18",
):
    """ResNet18 for small images: no max pooling, no bias in the last layer.

    Kernels bear the names that tables of layer-wise density use: `conv1`,
    `layer1_0_conv1`, ..., `layer2_0_shortcut`, ..., `logits`.

    Args:
        input_shape: Shape of an image, (rows, cols, channels).
        classes: Number of classes.
        width: Factor on the channels of every layer, rounded. At 1 the network
            is the paper's: 11,220,032 trainable parameters for 100 classes.
        stem: The first convolution: `"cifar"` is 3x3 with stride 1, `"tiny"`
            (for TinyImageNet) 7x7 with stride 2.
        normalization: What a first layer subtracts from the pixels and divides
            them by: `"cifar10"`, `"cifar100"`, `"tiny_imagenet"`, or a pair
            `(mean, std)`, each a number or one number a channel, for pixels in
            [0, 1]. `None` leaves that layer out.
        seed: Int >= 0. One seed is one set of initial weights, whatever the
            backend.
        name: Name of the model.

    Returns:
        A `keras.Model` from images in [0, 1] of shape
        (batch, rows, cols, channels) to logits of shape (batch, classes).

    Raises:
        ImportError: If keras-cv is not installed.
        ValueError: If an argument is out of range.

    Example:

    >>> model = resnet18((32, 32, 3), 100, normalization="cifar100")
    """
    return _resnet(
        (2, 2, 2, 2),
        input_shape,
        classes,
        width,
        stem,
        normalization,
        seed,
        name,
    )


def resnet34(
    input_shape,
    classes,
    *,
    width=1.0,
    stem="cifar",
    normalization=None,
    seed=0,
    name="resnet34",
):
    """ResNet34 for small images: `resnet18` with more blocks in each stage.

    With `stem="tiny"` and `width=1` it is the paper's: 21,387,072 trainable
    parameters for 200 classes.

    Args:
        input_shape: As for `resnet18`, and so are all that follow.
        classes: Number of classes.
        width: Factor on the channels of every layer.
        stem: `"cifar"` or `"tiny"`.
        normalization: Statistics of the pixels, by name or as `(mean, std)`.
        seed: Int >= 0, of the initial weights.
        name: Name of the model.

    Returns:
        A `keras.Model` from images to logits.

    Raises:
        ImportError: If keras-cv is not installed.
        ValueError: If an argument is out of range.

    Example:

    >>> model = resnet34(
    ...     (64, 64, 3), 200, stem="tiny", normalization="tiny_imagenet"
    ... )
    """
    return _resnet(
        (3, 4, 6, 3),
        input_shape,
        classes,
        width,
        stem,
        normalization,
        seed,
        name,
    )


def _resnet(
    blocks, input_shape, classes, width, stem, normalization, seed, name
):
    if stem not in STEMS:
        raise ValueError(
            f"Argument `stem` must be one of {sorted(STEMS)}, or the first "
            f"convolution is not known. Received: stem={stem!r}"
        )
    smallest = 8 * STEMS[stem]["strides"]
    check(input_shape, classes, width, normalization, seed, smallest)
    with blank_kernels():
        backbone = keras_cv().models.ResNetBackbone(
            stackwise_filters=(64, 128, 256, 512),
            stackwise_blocks=blocks,
            stackwise_strides=(1, 2, 2, 2),
            block_type="basic_block",
            include_rescaling=False,
            input_shape=input_shape,
        )

    def rebuild(layer):
        if isinstance(layer, keras.layers.BatchNormalization):
            return batch_norm(_our_name(layer.name))
        config = layer.get_config()
        config["name"] = _our_name(layer.name)
        if isinstance(layer, keras.layers.Conv2D):
            config["filters"] = scaled(layer.filters, width)
        if layer.name == "conv1_conv":
            config.update(STEMS[stem])
        if layer.name.endswith("_0_conv"):
            config["strides"] = 1
        return type(layer).from_config(config)

    def connect(layer, x, **kwargs):
        if layer.name == "pool1_pool":
            return x
        if layer.name == "conv1":
            x = normalized(x, normalization)
        if layer.name.endswith("_shortcut"):
            x = _every_other_pixel(f"{layer.name}_stride")(x)
        return layer(x, **kwargs)

    image = keras.Input(input_shape, name="image")
    features = keras.models.clone_model(
        backbone, image, clone_function=rebuild, call_function=connect
    )
    (x,) = features.outputs
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return classifier(image, x, classes, seed, name, use_bias=False)


def _every_other_pixel(name):
    """The stride of a shortcut, taken out of its 1x1 convolution.

    The result is the same. But TensorFlow 2.21 on CPUs with AVX-512 writes
    outside its memory in the gradient of a 1x1 convolution that has a stride,
    few channels and an odd batch, and crashes.
    """
    return keras.layers.MaxPooling2D(pool_size=1, strides=2, name=name)


def _our_name(name):
    """keras-cv's `v2_stack_1_block1_0_conv` is `layer2_0_shortcut` here."""
    match = re.fullmatch(r"v2_stack_(\d)_block(\d)_(\w+)", name)
    if match is None:
        return name.replace("conv1_conv", "conv1")
    stack, block, part = match.groups()
    return f"layer{int(stack) + 1}_{int(block) - 1}_{PARTS[part]}"
