"""Channels that are constant become biases of what reads them."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_snn import get_masks
from keras_snn import set_masks
from keras_snn import sparsify
from keras_snn import strip

pytestmark = pytest.mark.usefixtures("drawn_by_numpy")

RNG = np.random.default_rng(0)
CHANNELS = 8
DEAD_OR_NOT = np.tile([1.0, 1.0, 1.0, -1.0], 2)


def shrunk(model, names=("a",), **biases):
    """The model and the smaller one, the odd filters of some layers masked."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    for name, values in biases.items():
        model.get_layer(name).bias.assign(values)
    sparse = sparsify(model, 0.0)
    masks = get_masks(sparse)
    for name in names:
        masks[f"{name}/kernel"][..., 1::2] = False
    set_masks(sparse, masks)
    return sparse, strip(sparse, shrink=True)


def assert_same_outputs(one, other):
    x = RNG.normal(size=(3, *one.input_shape[1:])).astype("float32")
    expected = one.predict_on_batch(x)
    found = other.predict_on_batch(x)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found / scale, expected / scale, atol=2e-6)


def width(model, name="a"):
    layer = model.get_layer(name)
    return getattr(layer, "filters", getattr(layer, "units", None))


def image_model(*between):
    """Two layers with others between, on an image of 6 rows and cols."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(CHANNELS, 3, padding="same", name="a"),
            *between,
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ]
    )


KNOWN = {
    "a 1x1 kernel, BatchNorm, activations, a strided kernel": lambda: [
        layers.BatchNormalization(scale=False),
        layers.LeakyReLU(),
        layers.Conv2D(5, 1, strides=2, padding="same", use_bias=False),
        layers.BatchNormalization(center=False),
        layers.Activation("tanh"),
        layers.Conv2D(5, 3, activation="sigmoid"),
    ],
    "pooling": lambda: [
        layers.AveragePooling2D(4, strides=1, padding="same"),
        layers.MaxPooling2D(4, strides=1, padding="same"),
        layers.UpSampling2D(interpolation="bilinear"),
        layers.Cropping2D(1),
        layers.GlobalAveragePooling2D(),
        layers.Reshape((1, 1, CHANNELS)),
        layers.Dropout(0.5),
    ],
    "depthwise and separable kernels": lambda: [
        layers.DepthwiseConv2D(2, depth_multiplier=2, activation="elu"),
        layers.Rescaling(2.0, 1.0),
        layers.SeparableConv2D(4, 3, depth_multiplier=2, use_bias=False),
    ],
}


@pytest.mark.parametrize("kind", KNOWN)
def test_constants_go(kind):
    sparse, small = shrunk(image_model(*KNOWN[kind]()))
    assert width(small) == CHANNELS // 2
    assert_same_outputs(sparse, small)


EDGES = {
    "padded": lambda: layers.Conv2D(4, 3, padding="same", name="b"),
    "transposed": lambda: layers.Conv2DTranspose(4, 3, strides=2, name="b"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, padding="same", name="b"),
    "separable": lambda: layers.SeparableConv2D(4, 3, padding="same", name="b"),
}


@pytest.mark.once
@pytest.mark.parametrize("kind", EDGES)
def test_at_the_edge_only_zeros_go(kind):
    """Of those that are masked, one in two is dead behind the ReLU."""
    model = image_model(layers.ReLU(), EDGES[kind]())
    with pytest.warns(UserWarning, match="2 before 'b', whose kernel hangs"):
        sparse, small = shrunk(model, a=DEAD_OR_NOT)
    assert width(small) == 6
    assert_same_outputs(sparse, small)


def test_padding_with_zeros_by_itself():
    between = [layers.ReLU(), layers.ZeroPadding2D(), layers.Conv2D(4, 3)]
    sparse, small = shrunk(image_model(*between), a=DEAD_OR_NOT)
    assert width(small) == 6
    assert_same_outputs(sparse, small)


def test_branches():
    """What is constant in both is, what is 0 in one is in a product."""
    image = keras.Input((4, 4, 3))
    a = layers.Conv2D(8, 1, name="a")(image)
    b = layers.Conv2D(8, 1, name="b")(image)
    c = layers.Conv2D(8, 1, activation="relu", name="c")(image)
    d = layers.Conv2D(8, 1, name="d")(image)
    joined = layers.Concatenate()(
        [
            layers.Average()([a, 1.0 - layers.Maximum()([a, b])]),
            ops.multiply(c, d),
        ]
    )
    joined = layers.Concatenate(axis=1)([joined, joined])
    model = keras.Model(image, layers.Dense(2)(joined))
    sparse, small = shrunk(model, ("a", "b", "c"), c=-np.ones(8))
    assert [width(small, name) for name in "abcd"] == [4, 4, 4, 4]
    assert_same_outputs(sparse, small)


def test_a_layer_called_twice_sees_no_constants():
    image = keras.Input((3,))
    a = layers.Dense(8, name="a")(image)
    b = layers.Dense(8, name="b")(image)
    twice = layers.Dense(4, name="twice")
    model = keras.Model(image, twice(a) * twice(b))
    sparse, small = shrunk(model)
    assert [width(small, name) for name in "ab"] == [8, 8]
    assert_same_outputs(sparse, small)


def test_always_in_training():
    image = keras.Input((3,))
    a = layers.Dense(8, name="a")(image)
    a = layers.BatchNormalization()(a, training=True)
    sparse, small = shrunk(keras.Model(image, layers.Dense(4)(a)))
    assert width(small) == 8
    assert_same_outputs(sparse, small)
