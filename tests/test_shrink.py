"""Models without their masked channels: smaller, with the same outputs."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_snn import prune_channels
from keras_snn import sparsify
from keras_snn import strip

RNG = np.random.default_rng(0)
IMAGE = (6, 6, 3)


def conv(filters, name=None, **options):
    options = {"padding": "same", "activation": "relu", **options}
    return layers.Conv2D(filters, 3, name=name, **options)


def chain():
    return keras.Sequential(
        [
            keras.Input(IMAGE),
            conv(8, "a", use_bias=False, activation=None),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            conv(6, "b"),
            layers.Flatten(),
            layers.Dense(10, activation="tanh", name="c"),
            layers.Dropout(0.5),
            layers.Dense(3, name="d"),
        ]
    )


def residual():
    image = keras.Input(IMAGE)
    x = conv(8, "stem")(image)
    y = layers.BatchNormalization()(conv(5, "inner")(x))
    y = conv(8, "outer", activation=None)(y)
    x = layers.Add()([x, y])
    z = layers.Conv2D(8, 1, name="shortcut")(x)
    x = ops.relu(conv(8, "second")(x) + z)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(3, name="head")(x))


def concatenated():
    image = keras.Input(IMAGE)
    one, two = conv(4, "one")(image), conv(6, "two")(image)
    x = layers.Concatenate()([one, two])
    y = layers.Subtract()([x, conv(10, "ten")(x)])
    tall = layers.Concatenate(axis=1)([y, 0.5 * y])
    x = layers.Flatten()(layers.AveragePooling2D(3)(tall))
    return keras.Model(image, layers.Dense(3, name="head")(x))


def depthwise():
    image = keras.Input(IMAGE)
    x = conv(6, "first")(image)
    x = layers.ZeroPadding2D()(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x)
    x = layers.SeparableConv2D(8, 3, depth_multiplier=2, name="separable")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Dense(4, activation="relu", name="squeeze")(gate)
    gate = layers.Dense(8, activation="sigmoid", name="excite")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.Conv2DTranspose(5, 2, strides=2, name="transpose")(x)
    x = layers.GlobalMaxPooling2D()(x)
    return keras.Model(image, layers.Dense(3, name="head")(x))


def shared():
    image = keras.Input(IMAGE)
    stem, both = conv(6, "stem"), conv(6, "both")
    left = both(stem(image))
    right = both(conv(6, "other")(image))
    x = layers.Flatten()(layers.Average()([left, both(right)]))
    return keras.Model(image, layers.Dense(3, name="head")(x))


def nested():
    backbone = keras.Sequential(
        [keras.Input(IMAGE), conv(8, "a"), conv(6, "b")], name="backbone"
    )
    inner = keras.Input((6, 6, 6))
    neck = keras.Model(inner, inner + conv(6, "c")(inner), name="neck")
    image = keras.Input(IMAGE)
    x = neck(neck(backbone(image)))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(3, name="head")(x))


def of_other_ranks():
    series = keras.Input((8, 3))
    x = layers.Conv1D(6, 3, padding="causal", name="a")(series)
    x = layers.UpSampling1D()(layers.MaxPooling1D()(x))
    x = layers.Conv1DTranspose(4, 2, name="b")(x)
    x = layers.Dense(5, name="c")(x)
    x = layers.Reshape((9, 5, 1, 1))(x)
    x = layers.Conv3D(4, (3, 3, 1), name="d")(x)
    x = layers.GlobalAveragePooling3D()(layers.SpatialDropout3D(0.2)(x))
    return keras.Model(series, layers.Dense(3, name="head")(x))


def several_inputs_and_outputs():
    inputs = {"a": keras.Input(IMAGE, name="a"), "b": keras.Input((5,))}
    inputs["b"] = keras.Input((5,), name="b")
    x = layers.GlobalAveragePooling2D()(conv(6, "image")(inputs["a"]))
    y = layers.Dense(6, name="vector")(inputs["b"])
    z = layers.Dense(8, activation="relu", name="both")(x * y)
    outputs = {"z": layers.Dense(3, name="head")(z), "y": y}
    return keras.Model(inputs, outputs)


KINDS = {
    kind.__name__: kind
    for kind in (
        chain,
        residual,
        concatenated,
        depthwise,
        shared,
        nested,
        of_other_ranks,
        several_inputs_and_outputs,
    )
}


def shuffled(model):
    """The model with biases and BatchNorm as training leaves them."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def batch(model, size=4):
    return keras.tree.map_structure(
        lambda tensor: RNG.normal(size=(size, *tensor.shape[1:])).astype(
            "float32"
        ),
        model.input
        if not isinstance(model, keras.Sequential)
        else model.inputs[0],
    )


def outputs_of(model, x):
    outputs = model.predict_on_batch(x)
    return keras.tree.flatten(outputs)


def assert_same_outputs(model, other, x):
    for one, two in zip(
        outputs_of(model, x), outputs_of(other, x), strict=True
    ):
        np.testing.assert_allclose(one, two, atol=1e-5, rtol=1e-5)


def shrunk(dense, fraction=0.5):
    """The sparse model, half its channels gone, and the smaller one."""
    sparse = sparsify(shuffled(dense), 0.0)
    prune_channels(sparse, fraction)
    return sparse, strip(sparse, shrink=True)


def width(model, name):
    layer = model.get_layer(name)
    return getattr(layer, "filters", None) or layer.units


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_smaller_with_the_same_outputs(kind, tmp_path):
    dense = KINDS[kind]()
    x, size = batch(dense), dense.count_params()
    sparse, small = shrunk(dense)
    assert small.count_params() < 0.8 * size
    assert_same_outputs(sparse, small, x)
    small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    assert_same_outputs(small, loaded, x)
