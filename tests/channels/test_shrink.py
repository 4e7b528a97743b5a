"""Models without their masked channels: smaller, with the same outputs."""

import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import MaskedLayer
from keras_snn import get_masks
from keras_snn import prune_channels
from keras_snn import sparsify
from keras_snn import strip

pytestmark = pytest.mark.usefixtures("drawn_by_numpy")

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
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Dropout(0.5, noise_shape=(None, 1, 1, 1))(gate)
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
    inputs = {
        "a": keras.Input(IMAGE, name="a"),
        "b": keras.Input((5,), name="b"),
    }
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
            values = rng.uniform(0.5, 1.5, weight.shape)
            if weight.name in ("bias", "beta"):
                values *= rng.choice([-1, 1], weight.shape)
            weight.assign(values)
    return model


def batch(model, size=4):
    sequential = isinstance(model, keras.Sequential)
    return keras.tree.map_structure(
        lambda t: RNG.normal(size=(size, *t.shape[1:])).astype("float32"),
        model.inputs[0] if sequential else model.input,
    )


def assert_same_outputs(model, other, x):
    for one, two in zip(
        keras.tree.flatten(model.predict_on_batch(x)),
        keras.tree.flatten(other.predict_on_batch(x)),
        strict=True,
    ):
        scale = max(1.0, np.abs(one).max())
        np.testing.assert_allclose(one / scale, two / scale, atol=1e-5)


def halved(dense):
    """A sparse model without half its channels, and the smaller one."""
    sparse = sparsify(shuffled(dense), 0.0)
    prune_channels(sparse, 0.5)
    return sparse, strip(sparse, shrink=True)


def widths(model):
    """The number of filters or units of each layer, by name."""
    sizes = {
        layer.name: getattr(layer, "filters", getattr(layer, "units", None))
        for layer in model._flatten_layers()
    }
    return {name: size for name, size in sizes.items() if size is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_smaller_with_the_same_outputs(kind, tmp_path):
    dense = KINDS[kind]()
    x, parameters = batch(dense), dense.count_params()
    sparse, small = halved(dense)
    assert small.count_params() < parameters
    assert_same_outputs(sparse, small, x)
    path = tmp_path / "small.keras"
    small.save(path)
    with zipfile.ZipFile(path) as file:
        assert "keras_snn" not in str(json.loads(file.read("config.json")))
    loaded = keras.saving.load_model(path)
    for one, other in zip(small.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_chain_by_hand():
    _, small = halved(chain())
    assert widths(small) == {"a": 4, "b": 3, "c": 5, "d": 3}
    shapes = [tuple(w.shape) for w in small.weights]
    assert shapes == [
        *[(3, 3, 3, 4)],
        *[(4,)] * 4,
        *[(3, 3, 4, 3), (3,)],
        *[(27, 5), (5,)],
        *[(5, 3), (3,)],
    ]


def test_branches_that_are_added_lose_the_same_channels():
    dense = residual()
    sparse, small = halved(dense)
    assert widths(small) == {
        "stem": 4,
        "inner": 2,
        "outer": 4,
        "shortcut": 4,
        "second": 4,
        "head": 3,
    }
    masks = get_masks(sparse)
    for one, other in (("stem", "outer"), ("shortcut", "second")):
        np.testing.assert_array_equal(
            masks[f"{one}/kernel"].any((0, 1, 2)),
            masks[f"{other}/kernel"].any((0, 1, 2)),
        )


def test_outputs_and_what_is_tied_to_them_stay():
    _, small = halved(several_inputs_and_outputs())
    assert widths(small) == {"image": 6, "vector": 6, "both": 4, "head": 3}


@pytest.mark.once
@pytest.mark.filterwarnings("ignore:Constant channels stay")
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("channels", [True, False])
def test_graphs_and_masks_at_random(seed, channels):
    """Whatever is masked: what is removed was not needed."""
    rng = np.random.default_rng(seed)
    dense = shuffled(random_graph(rng))
    x, before = batch(dense), dense.count_params()
    sparse = sparsify(dense, 0.0)
    if channels:
        prune_channels(sparse, 0.6, scope=str(rng.choice(["layer", "global"])))
    else:
        keras_snn.set_masks(
            sparse,
            {p: random_slices(rng, m) for p, m in get_masks(sparse).items()},
        )
    removed = channels and keras_snn.sparsity(sparse) > 0
    small = strip(sparse, shrink=True)
    assert small.count_params() <= before - removed
    assert_same_outputs(sparse, small, x)


def random_slices(rng, mask):
    """A mask without most of its slices along the axes of channels."""
    mask = mask.copy()
    mask[..., rng.random(mask.shape[-2]) < 0.6, :] = False
    mask[..., rng.random(mask.shape[-1]) < 0.6] = False
    return mask if mask.any() else ~mask


def random_graph(rng):
    """Eight layers, each on tensors at random, all of 4 rows and cols."""
    image = keras.Input((4, 4, 3))
    tensors = [conv(int(rng.integers(4, 9)))(image)]

    def any_tensor():
        return tensors[int(rng.integers(len(tensors)))]

    for kind in rng.choice(["conv", "norm", "relu", "add", "join", "one"], 8):
        x = any_tensor()
        filters = int(rng.integers(4, 9))
        groups = 2 if rng.integers(2) and x.shape[-1] % 2 == 0 else 1
        if kind == "conv":
            filters -= filters % groups
            x = conv(filters, groups=groups, use_bias=bool(rng.integers(2)))(x)
        elif kind == "norm":
            x = (
                layers.GroupNormalization(2)(x)
                if groups == 2
                else layers.BatchNormalization()(x)
            )
        elif kind == "relu":
            x = layers.ReLU()(x)
        elif kind == "add":
            y = layers.Conv2D(x.shape[-1], 1)(any_tensor())
            x = layers.Add()([x, y])
        elif kind == "join":
            x = layers.Concatenate()([x, any_tensor()])
        else:
            x = layers.DepthwiseConv2D(3, padding="same")(x)
        tensors.append(x)
    x = layers.Concatenate()(tensors[-3:])
    if rng.integers(2):
        x = layers.GlobalAveragePooling2D()(x)
    else:
        x = layers.Flatten()(x)
    return keras.Model(image, layers.Dense(2)(x))


def test_what_only_removed_channels_have_read_goes_as_well():
    dense = keras.Sequential(
        [keras.Input((3,))]
        + [layers.Dense(4, name=name) for name in ("a", "b", "c")]
    )
    sparse = sparsify(shuffled(dense), 0.0)
    masks = get_masks(sparse)
    masks["c/kernel"][1:] = False  # Of b, unit 0 alone is read,
    masks["b/kernel"][2:, 0] = False  # and of a, by it, units 0 and 1.
    keras_snn.set_masks(sparse, masks)
    x = batch(sparse)
    small = strip(sparse, shrink=True)
    assert widths(small) == {"a": 2, "b": 1, "c": 4}
    assert_same_outputs(sparse, small, x)


def test_a_layer_that_nothing_reads_keeps_one_channel():
    one, two = keras.Input((3,)), keras.Input((3,))
    x = layers.Concatenate()(
        [layers.Dense(4, name="read")(one), layers.Dense(4, name="unread")(two)]
    )
    sparse = sparsify(
        keras.Model([one, two], layers.Dense(2, name="c")(x)), 0.0
    )
    mask = get_masks(sparse)["c/kernel"]
    mask[4:] = False
    keras_snn.set_masks(sparse, {"c/kernel": mask})
    x = [RNG.normal(size=(4, 3)) for _ in range(2)]
    small = strip(sparse, shrink=True)
    assert widths(small) == {"read": 4, "unread": 1, "c": 2}
    assert_same_outputs(sparse, small, x)


@keras.saving.register_keras_serializable(package="shrink_tests")
class Reversed(layers.Layer):
    """Channels the other way round: nothing that could be known of."""

    def call(self, inputs):
        return ops.flip(inputs, axis=-1)


UNKNOWN = {
    "own": Reversed,
    "norm": layers.LayerNormalization,
    "softmax": layers.Softmax,
    "activation": lambda: layers.Activation("softmax"),
    "unknown size": lambda: layers.Reshape((-1, 8)),
    "reshape": lambda: layers.Reshape((2, 4)),
    "noise": lambda: layers.Dropout(0.5, noise_shape=(None, 8)),
    "scale": lambda: layers.Rescaling([1.0] * 7 + [2.0]),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_channels_stay_around_a_layer_that_is_not_known(kind):
    dense = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(6, name="a"),
            layers.Dense(8, name="b"),
            UNKNOWN[kind](),
            layers.Dense(6, name="c"),
            layers.Dense(2, name="d"),
        ]
    )
    x = batch(dense)
    sparse, small = halved(dense)
    assert widths(small) == {"a": 3, "b": 8, "c": 3, "d": 2}
    assert_same_outputs(sparse, small, x)


def test_an_operation_with_one_constant_a_channel():
    image = keras.Input((3,))
    x = layers.Dense(6, name="a")(image) * np.arange(6, dtype="float32")
    x = layers.Dense(6, activation="softmax", name="b")(x)
    x = layers.Dense(6, name="c")(x)
    dense = keras.Model(image, layers.Dense(2, name="d")(x))
    x = batch(dense)
    sparse, small = halved(dense)
    assert widths(small) == {"a": 6, "b": 6, "c": 3, "d": 2}
    assert_same_outputs(sparse, small, x)


def test_a_subclassed_model_inside_stays_as_it_is():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(6)

        def call(self, inputs):
            return self.dense(inputs)

    image = keras.Input((3,))
    x = layers.Dense(4, name="a")(image)
    x = Own()(layers.Dense(5, name="b")(x))
    x = layers.Dense(4, name="c")(x)
    dense = keras.Model(image, layers.Dense(2, name="d")(x))
    x = batch(dense)
    sparse, small = halved(dense)
    named = widths(small)
    assert [named[name] for name in "abcd"] == [2, 5, 2, 2]
    assert_same_outputs(sparse, small, x)


def test_training_keeps_it_exact():
    dense = residual()
    x, y = batch(dense, 16), RNG.normal(size=(16, 3))
    sparse = sparsify(dense, 0.0)
    sparse.compile(keras.optimizers.AdamW(0.01), "mse")
    sparse.fit(x, y, batch_size=8, epochs=1, verbose=0)
    prune_channels(sparse, 0.5)
    sparse.fit(x, y, batch_size=8, epochs=2, verbose=0)
    small = strip(sparse, shrink=True)
    assert widths(small)["stem"] == 4
    assert_same_outputs(sparse, small, x)
    small.compile("sgd", "mse")
    small.fit(x, y, batch_size=8, epochs=1, verbose=0)


def test_the_model_itself_stays_as_it_was():
    dense = residual()
    x = batch(dense)
    sparse, small = halved(dense)
    before = sparse.predict_on_batch(x)
    for weight in small.weights:
        weight.assign(np.zeros(weight.shape))
    np.testing.assert_array_equal(sparse.predict_on_batch(x), before)
    assert strip(sparse) is dense


def test_layers_masked_by_hand():
    dense = keras.Sequential(
        [
            keras.Input((6,)),
            MaskedLayer(layers.Dense(8, name="a")),
            layers.BatchNormalization(),
            MaskedLayer(layers.Dense(4, name="b")),
        ]
    )
    x = batch(dense)
    prune_channels(dense, 0.5)
    outputs = dense.predict_on_batch(x)
    small = strip(dense, shrink=True)
    assert widths(small) == {"a": 4, "b": 4}
    np.testing.assert_allclose(small.predict_on_batch(x), outputs, atol=1e-5)


def test_what_layers_are_told_stays():
    dense = chain()
    dense.get_layer("a").trainable = False
    names = [layer.name for layer in dense.layers]
    _, small = halved(dense)
    assert [layer.name for layer in small.layers] == names
    assert not small.get_layer("a").trainable
    assert small.name == dense.name
    kept, copied = (
        model.get_layer("b").get_config() for model in (dense, small)
    )
    assert copied == {**kept, "filters": 3}


@pytest.mark.parametrize("network", ["resnet18", "vgg16"])
def test_the_networks_of_the_package(network):
    dense = getattr(keras_snn.models, network)(
        (32, 32, 3), 10, width=1 / 16, normalization="cifar10"
    )
    x, parameters = batch(dense, 2), dense.count_params()
    sparse, small = halved(dense)
    assert small.count_params() < 0.3 * parameters
    assert_same_outputs(sparse, small, x)


def test_a_subclassed_model_cannot_be_shrunk():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    model = Own()
    model(np.ones((2, 3), "float32"))
    sparse = sparsify(model, 0.5)
    for function in (
        lambda: strip(sparse, shrink=True),
        lambda: prune_channels(sparse, 0.5),
    ):
        with pytest.raises(
            ValueError, match="Functional or Sequential model only"
        ):
            function()
    with pytest.raises(ValueError, match="wrap it first"):
        strip(chain(), shrink=True)
