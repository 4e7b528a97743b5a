"""What XNNPACK computes sparse; networks of these kinds ran in WebAssembly."""

import keras
import pytest
from keras import layers

import keras_snn
from keras_snn import sparsify
from keras_snn.xnnpack import enough_zeros
from keras_snn.xnnpack import sparse_part


def net(stem=1, same=False, size=3, strides=1, act="relu6", mid=None, end=None):
    """A stem, two 1x1 convolutions around a depthwise one, an end."""
    x = image = keras.Input((12, 12, 3))
    if stem:
        x = layers.ZeroPadding2D(stem)(x)
    padding = "valid" if stem else "same"
    x = layers.Conv2D(4, 3, 2, padding=padding, use_bias=False)(x)
    x = layers.Activation(act)(layers.BatchNormalization()(x))
    x = y = layers.Conv2D(4, 1, activation="relu", name="one")(x)
    if not same:
        x = layers.ZeroPadding2D(size // 2)(x)
    padding = "same" if same else "valid"
    x = layers.DepthwiseConv2D(size, strides, padding=padding, name="dw")(x)
    x = layers.Conv2D(4, 1, use_bias=False, name="two")(x)
    x = layers.BatchNormalization()(x)
    if mid:
        x = mid(x, y)
    x = layers.Dropout(0.1)(layers.ReLU()(x))
    end = end or layers.GlobalAveragePooling2D()
    return keras.Model(image, layers.Dense(2)(end(x)))


def squeeze(x, y):
    z = layers.GlobalAveragePooling2D(keepdims=True)(x)
    z = layers.Conv2D(2, 1, activation="silu", name="down")(z)
    z = layers.Conv2D(4, 1, activation="sigmoid", name="up")(z)
    return x * z


def nested(x, y):
    inner = keras.Sequential(
        [keras.Input(x.shape[1:]), layers.ReLU(6.0), layers.Conv2D(4, 1)]
    )
    return inner(x)


FAST = {
    "plain": ({}, 2),
    "same": (dict(same=True), 2),
    "strides": (dict(strides=2, size=5), 2),
    "silu": (dict(act="silu"), 2),
    "add": (dict(mid=lambda x, y: layers.Add()([x, y])), 2),
    "squeeze": (dict(mid=squeeze), 4),
    "nested": (dict(mid=nested), 3),
}
SLOW = {
    "stem": (dict(stem=0), "'conv2d.*' must be padded by 1 on each side"),
    "max": (dict(end=layers.GlobalMaxPooling2D()), "GlobalMaxPooling2D"),
    "flat": (dict(end=layers.Flatten()), "a Flatten, is not"),
}
CUT_OFF = {
    "same": (dict(same=True, strides=2), "'dw' must be padded by 1 on each"),
    "size": (dict(size=7), "'dw', a DepthwiseConv2D of 7x7 on 4"),
    "pool": (
        dict(mid=lambda x, y: layers.MaxPooling2D()(x)),
        "a MaxPooling2D, is not computed channels first",
    ),
    "norm": (
        dict(mid=lambda x, y: layers.BatchNormalization()(x + y)),
        "a BatchNormalization, is not",
    ),
    "strides": (
        dict(mid=lambda x, y: layers.Conv2D(4, 1, 2, name="third")(x)),
        r"'third', a Conv2D of 1x1 on 4 channels with strides \(2, 2\)",
    ),
    "classifier": (
        dict(
            end=keras.Sequential(
                [
                    layers.GlobalAveragePooling2D(keepdims=True),
                    layers.Conv2D(5, 1),
                    layers.Flatten(),
                ]
            )
        ),
        "a Flatten, is not",
    ),
}


@pytest.mark.parametrize("case", FAST)
def test_only_what_is_faster_is_masked(case):
    options, kernels = FAST[case]
    sparse = sparsify(net(**options), 0.75, policy="xnnpack")
    masks = keras_snn.get_masks(sparse)
    assert len(masks) == kernels
    assert all(mask.shape[:2] == (1, 1) for mask in masks.values())
    part = sparse_part(sparse)
    assert len(part.kernels) == kernels
    assert not part.cut_off
    assert enough_zeros(part.kernels)


@pytest.mark.parametrize("case", SLOW)
def test_nothing_to_speed_up_is_an_error(case):
    options, reason = SLOW[case]
    model = net(**options)
    with pytest.raises(ValueError, match=reason):
        sparsify(model, 0.9, policy="xnnpack")
    assert not sparse_part(model).cut_off


@pytest.mark.parametrize("case", CUT_OFF)
def test_a_part_that_does_not_end_as_it_must(case):
    options, reason = CUT_OFF[case]
    model = net(**options)
    with pytest.raises(ValueError, match=reason):
        sparsify(model, 0.9, policy="xnnpack")
    assert sparse_part(model).cut_off


def test_a_part_that_gives_outputs_of_the_model():
    model = net()
    hidden = model.get_layer("one").output
    part = sparse_part(keras.Model(model.inputs, [*model.outputs, hidden]))
    assert not part.kernels
    assert part.cut_off


def test_what_is_asked_for_besides():
    sparse = sparsify(
        net(), 0.75, include="dw", exclude="one", policy="xnnpack"
    )
    assert sorted(keras_snn.get_masks(sparse)) == ["dw/kernel", "two/kernel"]


def test_too_few_zeros():
    with pytest.warns(UserWarning, match="more than 2/3 of the weights"):
        sparse = sparsify(net(), 0.5, policy="xnnpack")
    assert not enough_zeros(sparse_part(sparse).kernels)
    sparsify(net(), 0.0, policy="xnnpack")
    with pytest.raises(ValueError, match="`policy` must be None or one of"):
        sparsify(net(), 0.5, policy="onnx")


def test_a_subclassed_model_cannot_be_looked_into():
    class Own(keras.Model):
        def call(self, x):
            return x

    assert "called by code" in sparse_part(Own()).reasons[0]
