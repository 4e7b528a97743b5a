"""VGG16 and VGG19 with BatchNorm, from keras-cv and Keras Applications.

"Very Deep Convolutional Networks for Large-Scale Image Recognition",
arXiv 1409.1556.
"""

import keras

from keras_snn.extras import keras_cv
from keras_snn.models.parts import batch_norm
from keras_snn.models.parts import blank_kernels
from keras_snn.models.parts import check
from keras_snn.models.parts import classifier
from keras_snn.models.parts import dense
from keras_snn.models.parts import normalized
from keras_snn.models.parts import scaled


def vgg16(
    input_shape,
    classes,
    *,
    width=1.0,
    normalization=None,
    seed=0,
    name="vgg16",
):
    """VGG16 with BatchNorm, for images of at least 32x32.

    Thirteen convolutions with bias (`block1_conv1`, ..., `block5_conv3`), each
    followed by BatchNorm and ReLU; global average pooling; then `fc1` and
    `fc2` of 512, each followed by ReLU and BatchNorm, and `logits`.

    Args:
        input_shape: Shape of an image, (rows, cols, channels).
        classes: Number of classes.
        width: Factor on the channels of every layer, rounded. At 1 the network
            is the paper's: 15,255,626 trainable parameters for 10 classes.
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

    >>> model = vgg16((32, 32, 3), 10, normalization="cifar10")
    """
    check(input_shape, classes, width, normalization, seed, smallest=32)
    with blank_kernels():
        backbone = keras_cv().models.VGG16Backbone(
            include_rescaling=False, include_top=False, input_shape=input_shape
        )
    image = keras.Input(input_shape, name="image")
    x = normalized(image, normalization)
    x = _features(backbone.layers[1:], x, width, use_bias=True)
    for layer in ("fc1", "fc2"):
        x = dense(scaled(512, width), layer)(x)
        x = keras.layers.ReLU(name=f"{layer}_relu")(x)
        x = batch_norm(f"{layer}_bn")(x)
    return classifier(image, x, classes, seed, name, use_bias=True)


def vgg19(
    input_shape,
    classes,
    *,
    width=1.0,
    last_pool="average",
    normalization=None,
    seed=0,
    name="vgg19",
):
    """VGG19 with BatchNorm, for images of at least 32x32.

    Sixteen convolutions without bias (`block1_conv1`, ..., `block5_conv4`),
    each followed by BatchNorm and ReLU, and max pooling after all but the last
    block; global average pooling; `logits`. At `width=1` it is the paper's:
    20,081,188 trainable parameters for 100 classes. keras-cv has no VGG19, so
    this network needs Keras alone.

    Args:
        input_shape: As for `vgg16`, and so are all that follow.
        classes: Number of classes.
        width: Factor on the channels of every layer.
        last_pool: What follows the last block, before global pooling:
            `"average"`, nothing more, as in the code of "Are Sparse Neural
            Networks Better Hard Sample Learners?" (arXiv 2409.09196), or
            `"max"`, a fifth max pooling, as in VGG19 itself.
        normalization: Statistics of the pixels, by name or as `(mean, std)`.
        seed: Int >= 0, of the initial weights.
        name: Name of the model.

    Returns:
        A `keras.Model` from images to logits.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> model = vgg19((32, 32, 3), 100, normalization="cifar100")
    """
    if last_pool not in ("average", "max"):
        raise ValueError(
            "Argument `last_pool` must be 'average' or 'max', or what stands "
            f"behind the last block is not known. Received: {last_pool=}"
        )
    check(input_shape, classes, width, normalization, seed, smallest=32)
    with blank_kernels():
        backbone = keras.applications.VGG19(
            include_top=False, weights=None, input_shape=input_shape
        )
    image = keras.Input(input_shape, name="image")
    x = normalized(image, normalization)
    chain = backbone.layers[1:]
    x = _features(
        chain[:-1] if last_pool == "average" else chain,
        x,
        width,
        use_bias=False,
    )
    return classifier(image, x, classes, seed, name, use_bias=True)


def _features(chain, x, width, use_bias):
    """A backbone's chain of layers, with BatchNorm after each convolution."""
    for layer in chain:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.Conv2D):
            x = type(layer).from_config(config)(x)
            continue
        config.update(
            filters=scaled(layer.filters, width),
            use_bias=use_bias,
            activation=None,
        )
        x = keras.layers.Conv2D.from_config(config)(x)
        x = batch_norm(f"{layer.name}_bn")(x)
        x = keras.layers.ReLU(name=f"{layer.name}_relu")(x)
    return keras.layers.GlobalAveragePooling2D(name="pool")(x)
