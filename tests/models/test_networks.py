"""What every network of keras_snn.models promises."""

import math
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_snn import models
from keras_snn.arithmetic.distributions import erk
from keras_snn.models.parts import STATISTICS
from keras_snn.models.parts import he_normal

NETWORKS = [models.resnet18, models.resnet34, models.vgg16, models.vgg19]
THINNEST = 1e-6
NARROW = {"width": 1 / 16, "normalization": "cifar10"}
IMAGES = np.random.default_rng(0).random((2, 32, 32, 3), "float32")


@pytest.fixture(scope="module")
def narrow():
    return {f: f((32, 32, 3), 10, **NARROW) for f in NETWORKS}


def trainable(model):
    return sum(math.prod(v.shape) for v in model.trainable_variables)


@pytest.mark.parametrize(
    "network, shape, classes, options, expected",
    [
        (models.resnet18, (32, 32, 3), 100, {}, 11_220_032),
        (models.resnet34, (64, 64, 3), 200, {"stem": "tiny"}, 21_387_072),
        (models.vgg16, (32, 32, 3), 10, {}, 15_255_626),
        (models.vgg19, (32, 32, 3), 100, {}, 20_081_188),
    ],
)
def test_paper_parameter_counts(network, shape, classes, options, expected):
    assert trainable(network(shape, classes, **options)) == expected


def test_resnet18_has_the_paper_layer_wise_densities():
    shapes = {
        layer.name: layer.kernel.shape
        for layer in models.resnet18((32, 32, 3), 100).layers
        if hasattr(layer, "kernel")
    }
    density = {name: 1 - s for name, s in erk(shapes, 0.8).items()}
    dense = [name for name, d in density.items() if d == 1]
    assert len(density) == 21
    assert dense == [
        "conv1",
        "layer1_0_conv1",
        "layer1_0_conv2",
        "layer1_1_conv1",
        "layer1_1_conv2",
        "layer2_0_shortcut",
        "layer3_0_shortcut",
        "layer4_0_shortcut",
        "logits",
    ]
    for name, expected in {
        "layer2_0_conv1": 0.7393,
        "layer2_0_conv2": 0.4891,
        "layer3_0_conv1": 0.3640,
        "layer3_1_conv2": 0.2418,
        "layer4_0_conv1": 0.1806,
        "layer4_1_conv1": 0.1202,
    }.items():
        assert density[name] == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_second_model_has_the_same_names(network, narrow):
    def names(model):
        return [model.name, *(v.path for v in model.variables)] + [
            layer.name for layer in model.layers
        ]

    again = network((32, 32, 3), 10, **NARROW)
    assert names(again) == names(narrow[network])


@pytest.mark.parametrize("network", NETWORKS)
def test_needs_neither_keras_cv_nor_keras_snn_to_load(network, tmp_path):
    model = network((32, 32, 3), 10, **{**NARROW, "width": THINNEST})
    assert type(model).__module__.startswith("keras.")
    config = model.to_json()
    assert "keras_cv" not in config
    assert "keras_snn" not in config
    path = tmp_path / "model.keras"
    model.save(path)
    reloaded = keras.saving.load_model(path)
    assert np.array_equal(
        ops.convert_to_numpy(model(IMAGES)),
        ops.convert_to_numpy(reloaded(IMAGES)),
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_are_the_seeds_and_no_backends(network, narrow):
    model = narrow[network]
    kernels = {
        layer.name: ops.convert_to_numpy(layer.kernel)
        for layer in model.layers
        if hasattr(layer, "kernel")
    }
    for name, kernel in kernels.items():
        assert np.array_equal(kernel, he_normal(kernel.shape, 0, name))
    for layer in model.layers:
        if layer.name in kernels:
            initializer = layer.get_config()["kernel_initializer"]
            assert initializer["class_name"] == "HeNormal"
        if getattr(layer, "bias", None) is not None:
            assert not ops.convert_to_numpy(layer.bias).any()
    other = network((32, 32, 3), 10, seed=1, **NARROW).get_layer("logits")
    assert not np.array_equal(
        ops.convert_to_numpy(other.kernel), kernels["logits"]
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_width_scales_every_layer(network, narrow):
    for layer in narrow[network].layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert layer.filters in (4, 8, 16, 32)
    thinnest = network((32, 32, 3), 10, width=THINNEST)
    assert all(
        layer.filters == 1
        for layer in thinnest.layers
        if isinstance(layer, keras.layers.Conv2D)
    )
    assert thinnest.output_shape == (None, 10)


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_are_connected_as_their_names_say(network, narrow):
    model = narrow[network]
    follow = follow_resnet if "resnet" in model.name else follow_vgg
    mean, std = (np.array(s, "float32") for s in STATISTICS["cifar10"])
    expected = follow(model, (IMAGES - mean) / std)
    np.testing.assert_allclose(
        ops.convert_to_numpy(model(IMAGES, training=False)),
        ops.convert_to_numpy(expected),
        rtol=1e-4,
        atol=1e-5,
    )


def follow_resnet(model, x):
    def conv_bn(x, name):
        x = model.get_layer(name)(x)
        return model.get_layer(f"{name}_bn")(x, training=False)

    names = [layer.name for layer in model.layers]
    x = ops.relu(conv_bn(x, "conv1"))
    for block in dict.fromkeys(n[:8] for n in names if n.startswith("layer")):
        shortcut = x
        if f"{block}_shortcut" in names:
            shortcut = conv_bn(x[:, ::2, ::2], f"{block}_shortcut")
        x = ops.relu(conv_bn(x, f"{block}_conv1"))
        x = ops.relu(conv_bn(x, f"{block}_conv2") + shortcut)
    return model.get_layer("logits")(ops.mean(x, axis=(1, 2)))


def follow_vgg(model, x):
    names = [layer.name for layer in model.layers]
    for name in names:
        if f"{name}_bn" in names and name.startswith("block"):
            x = model.get_layer(name)(x)
            x = model.get_layer(f"{name}_bn")(x, training=False)
            x = ops.relu(x)
        elif name.startswith("block") and name.endswith("_pool"):
            x = ops.max_pool(x, 2, 2)
    x = ops.mean(x, axis=(1, 2))
    for name in (n for n in ("fc1", "fc2") if n in names):
        x = ops.relu(model.get_layer(name)(x))
        x = model.get_layer(f"{name}_bn")(x, training=False)
    return model.get_layer("logits")(x)


@pytest.mark.parametrize(
    "stem, kernel_size, rows", [("cifar", 3, 32), ("tiny", 7, 16)]
)
def test_stems(stem, kernel_size, rows):
    model = models.resnet18((32, 32, 1), 7, width=1 / 16, stem=stem)
    conv = model.get_layer("conv1")
    assert conv.kernel.shape == (kernel_size, kernel_size, 1, 4)
    assert conv.output.shape == (None, rows, rows, 4)
    last = model.get_layer("layer4_1_relu").output
    assert last.shape == (None, rows // 8, rows // 8, 32)


@pytest.mark.parametrize("network", NETWORKS)
def test_no_1x1_convolution_has_a_stride(network, narrow):
    """TensorFlow 2.21 corrupts memory in the gradient of narrow ones."""
    for layer in narrow[network].layers:
        if isinstance(layer, keras.layers.Conv2D) and max(layer.strides) > 1:
            assert min(layer.kernel_size) > 1


def test_rectangular_images():
    model = models.vgg16((64, 32, 3), 3, width=1 / 32)
    assert model.output_shape == (None, 3)


def test_normalization_can_be_left_out_or_given():
    plain = models.vgg19((32, 32, 3), 10, width=1 / 16)
    assert "normalization" not in [layer.name for layer in plain.layers]
    given = models.vgg19(
        (32, 32, 3), 10, width=1 / 16, normalization=(0.5, (0.1, 0.2, 0.5))
    )
    x = ops.convert_to_numpy(given.get_layer("normalization")(IMAGES))
    np.testing.assert_allclose(
        x,
        (IMAGES - 0.5) / np.array([0.1, 0.2, 0.5], "float32"),
        rtol=1e-5,
        atol=1e-5,
    )


BAD = [
    ({"input_shape": (32, 32)}, "input_shape"),
    ({"input_shape": 32}, "input_shape"),
    ({"input_shape": (None, None, 3)}, "input_shape"),
    ({"input_shape": (32, 32.0, 3)}, "input_shape"),
    ({"input_shape": (32, 32, 0)}, "input_shape"),
    ({"input_shape": (32, 7, 3)}, "at least"),
    ({"classes": 0}, "classes"),
    ({"classes": 2.5}, "classes"),
    ({"width": 0}, "width"),
    ({"width": -0.5}, "width"),
    ({"width": math.inf}, "width"),
    ({"width": math.nan}, "width"),
    ({"width": "0.5"}, "width"),
    ({"seed": -1}, "seed"),
    ({"seed": None}, "seed"),
    ({"normalization": "imagenet"}, "normalization"),
    ({"normalization": 0.5}, "normalization"),
    ({"normalization": (0.5, 0.0)}, "normalization"),
    ({"normalization": (0.5, math.nan)}, "normalization"),
    ({"normalization": ((0.5, 0.5), 1.0)}, "normalization"),
    ({"normalization": (0.5, 1.0, 2.0)}, "normalization"),
]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("argument, message", BAD)
def test_bad_arguments(network, argument, message):
    arguments = {"input_shape": (32, 32, 3), "classes": 10, **argument}
    (name,) = argument
    with pytest.raises(ValueError, match=rf"{message}.*Received: {name}="):
        network(**arguments)


def test_smallest_images():
    with pytest.raises(ValueError, match="at least 32"):
        models.vgg16((31, 32, 3), 10)
    with pytest.raises(ValueError, match="at least 16"):
        models.resnet18((15, 16, 3), 10, stem="tiny")
    model = models.resnet18((8, 8, 3), 10, width=1 / 16)
    assert model.get_layer("layer4_1_relu").output.shape == (None, 1, 1, 32)


def test_vgg19_ends_with_average_or_max_pooling():
    average, last = (
        models.vgg19((32, 32, 3), 10, last_pool=pool, width=1 / 16)
        for pool in ("average", "max")
    )
    shapes = [m.get_layer("pool").input.shape for m in (average, last)]
    assert shapes == [(None, 2, 2, 32), (None, 1, 1, 32)]
    assert last.get_layer("block5_pool").pool_size == (2, 2)
    with pytest.raises(ValueError, match="last_pool.*Received: last_pool='m"):
        models.vgg19((32, 32, 3), 10, last_pool="mean")


def test_unknown_stem():
    with pytest.raises(ValueError, match="stem.*cifar.*tiny.*'imagenet'"):
        models.resnet18((32, 32, 3), 10, stem="imagenet")


def test_missing_keras_cv_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_cv", None)
    for network in (models.resnet18, models.resnet34, models.vgg16):
        with pytest.raises(ImportError, match="pip install keras-cv$"):
            network((32, 32, 3), 10)
    models.vgg19((32, 32, 3), 10, width=1 / 32)
