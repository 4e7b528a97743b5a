import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import models
from keras_snn.flops import inference_flops
from keras_snn.flops import layer_densities
from keras_snn.flops import layer_flops
from keras_snn.flops import training_flops


def network():
    return keras.Sequential(
        [
            keras.Input((8, 6, 2)),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, strides=2, name="depthwise"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, name="dense"),
        ]
    )


BY_HAND = {
    "conv/kernel": 2 * (3 * 3 * 2 * 4) * (8 * 6),
    "depthwise/kernel": 2 * (3 * 3 * 4) * (3 * 2),
    "dense/kernel": 2 * (4 * 5),
}


def test_by_hand():
    model = network()
    assert layer_flops(model) == BY_HAND
    assert inference_flops(model) == sum(BY_HAND.values()) == 7384
    assert training_flops(model, 10) == 10 * 3 * 7384
    assert training_flops(model, 10, attack_steps=7) == 10 * (3 + 14) * 7384
    assert layer_densities(model) == dict.fromkeys(BY_HAND, 1.0)


@pytest.mark.parametrize(
    "shape, layer, uses",
    [
        ((9, 3), layers.Conv1D(4, 3, strides=2), 4),
        ((9, 3), layers.Conv1D(4, 3, padding="causal", dilation_rate=2), 9),
        ((5, 6, 4), layers.Conv2D(6, 3, groups=2), 3 * 4),
        ((4, 5, 6, 1), layers.Conv3D(2, 2), 3 * 4 * 5),
        ((9, 3), layers.DepthwiseConv1D(3, depth_multiplier=2), 7),
        ((5, 6, 4), layers.SeparableConv2D(6, 3, strides=2), 2 * 2),
        ((5, 6, 4), layers.Conv2DTranspose(6, 3, strides=2), 5 * 6),
        ((9, 3), layers.Conv1DTranspose(4, 3, strides=2), 9),
        ((7, 3), layers.Dense(4), 7),
        ((7, 3), layers.TimeDistributed(layers.Dense(4)), 7),
        ((7, 3), layers.EinsumDense("abc,cd->abd", (None, 4)), 7),
        ((7, 3), layers.EinsumDense("abc,bcd->ad", 4), 1),
        ((7, 3), layers.EinsumDense("...c,cde->...de", (4, 5)), 7),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_uses_of_each_weight(shape, layer, uses):
    model = keras.Sequential([keras.Input(shape), layer])
    weights = [w for w in model.trainable_weights if len(w.shape) > 1]
    expected = [2 * int(np.prod(w.shape)) * uses for w in weights]
    assert list(layer_flops(model).values()) == expected


def test_layers_that_store_only_nonzeros():
    model = keras.Sequential(
        [
            keras.Input((8, 6, 2)),
            keras_snn.SparseConv2D(4, 3, 0.75, padding="same", name="conv"),
            layers.GlobalAveragePooling2D(),
            keras_snn.SparseDense(5, 0.8, name="dense"),
            layers.Dense(3, name="last"),
        ]
    )
    assert layer_flops(model) == {
        "conv/kernel": 2 * 72 * 48,
        "dense/kernel": 2 * 20,
        "last/kernel": 2 * 15,
    }
    assert inference_flops(model) == 2 * 18 * 48 + 2 * 4 + 2 * 15
    assert layer_densities(model) == {
        "conv/kernel": 0.25,
        "dense/kernel": 0.2,
        "last/kernel": 1.0,
    }
    masked = keras_snn.sparsify(network(), 0.8, "uniform")
    sparse = keras_snn.to_sparse(masked, "all")
    assert layer_flops(sparse) == layer_flops(masked)
    assert training_flops(sparse, 10) == training_flops(masked, 10)


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="not on a CPU"
)
def test_channels_first():
    inputs = keras.Input((4, 5, 6))
    layer = layers.Conv2D(6, 3, data_format="channels_first")
    model = keras.Model(inputs, layer(inputs))
    assert inference_flops(model) == 2 * (3 * 3 * 4 * 6) * 3 * 4


def test_a_layer_called_twice_counts_twice():
    inputs = keras.Input((4,))
    dense = layers.Dense(4)
    model = keras.Model(inputs, dense(dense(inputs)))
    assert inference_flops(model) == 2 * 2 * 16


class Blocks(keras.Model):
    def __init__(self):
        super().__init__()
        self.convs = [layers.Conv2D(3, 3, name=f"conv{i}") for i in (1, 2)]

    def call(self, inputs):
        return self.convs[1](self.convs[0](inputs))


def test_subclassed_model():
    model = Blocks()
    model(np.zeros((1, 9, 9, 3), "float32"))
    expected = 2 * (3 * 3 * 3 * 3) * (7 * 7 + 5 * 5)
    assert inference_flops(model, (9, 9, 3)) == expected
    with pytest.raises(ValueError, match="`input_shape` must tell"):
        inference_flops(model)


def test_unknown_sizes():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.Conv2D(4, 1)(inputs))
    with pytest.raises(ValueError, match=r"\(None, None, 3\)"):
        inference_flops(model)
    assert inference_flops(model, (5, 7, 3)) == 2 * 12 * 35


def test_active_weights_alone_count():
    model = network()
    sparse = keras_snn.sparsify(model, 0.7, include=["conv", "dense"])
    masks = keras_snn.get_masks(sparse)
    active = {
        path: int(masks[path].sum()) if path in masks else 36
        for path in BY_HAND
    }
    expected = 2 * (
        active["conv/kernel"] * 48 + 36 * 6 + active["dense/kernel"]
    )
    assert inference_flops(sparse) == expected
    assert inference_flops(model, masks=masks) == expected
    assert inference_flops(sparse, masks={}) == 7384
    assert layer_flops(sparse) == BY_HAND
    densities = layer_densities(sparse)
    assert densities["depthwise/kernel"] == 1
    assert densities["conv/kernel"] == active["conv/kernel"] / 72
    assert training_flops(sparse, 2) == pytest.approx(6 * expected)


def test_masks_over_time():
    model = network()
    densities = [
        (0.25, {}),
        (0.5, {"conv/kernel": 0.5}),
        (0.25, {"conv/kernel": 0.0, "dense/kernel": 0.5}),
    ]
    conv, dense = BY_HAND["conv/kernel"], BY_HAND["dense/kernel"]
    forward = 7384 - 0.5 * conv - 0.125 * dense
    assert training_flops(model, 4, densities) == pytest.approx(12 * forward)


def test_changes_nothing():
    model = keras_snn.sparsify(network(), 0.5)
    before = [np.array(w) for w in model.get_weights()]
    inference_flops(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    found = {id(layer) for layer in model._flatten_layers()}
    assert found and not any(
        "call" in vars(layer) for layer in model._flatten_layers()
    )


def test_bad_arguments():
    model = network()
    for arguments, message in (
        ({"samples": 0}, "samples=0"),
        ({"samples": 1, "attack_steps": -1}, "attack_steps=-1"),
        ({"samples": 1, "densities": [(0.5, {})]}, "sum of 0.5"),
        ({"samples": 1, "densities": []}, "sum of 0"),
        ({"samples": 1, "densities": [(0, {}), (1, {})]}, "share=0"),
        ({"samples": 1, "densities": [(1, {"dense/kernel": 2})]}, r"\[0, 1\]"),
        ({"samples": 1, "densities": [(1, {"dens": 1})]}, "'dens'.*kernels"),
    ):
        with pytest.raises(ValueError, match=message):
            training_flops(model, **arguments)
    with pytest.raises(ValueError, match=r"must be of kernels.*'other'"):
        inference_flops(model, masks={"other": np.ones(3, bool)})
    with pytest.raises(ValueError, match=r"shape, \(4, 5\).*\(2, 2\)"):
        inference_flops(model, masks={"dense/kernel": np.ones((2, 2), bool)})


def test_kernels_that_cannot_be_counted():
    model = keras.Sequential([keras.Input((5, 3)), layers.GRU(4)])
    with pytest.raises(ValueError, match="of a GRU"):
        inference_flops(model)


def test_two_networks_of_one_name():
    """Of each, one layer is masked and one is not: none is lost."""
    inputs = x = keras.Input((4,))
    for _ in range(2):
        hidden = keras.Input((4,))
        first, second = (layers.Dense(4, name=name) for name in "ab")
        inner = keras.Model(hidden, second(first(hidden)))
        x = keras_snn.MaskedLayer(inner, ["a/kernel"])(x)
    model = keras.Model(inputs, x)
    assert inference_flops(model) == 2 * 4 * 16
    assert set(keras_snn.get_masks(model)) < set(layer_flops(model))


def test_embeddings_cost_nothing():
    inputs = keras.Input((5,), dtype="int32")
    hidden = layers.Flatten()(layers.Embedding(7, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    assert inference_flops(model) == 2 * 15 * 2


def test_dense_resnet18():
    """0.5555 billion multiplications: what tables of CIFAR ResNets have."""
    model = models.resnet18((32, 32, 3), 100)
    assert inference_flops(model) == 1_110_937_600
    if keras.backend.backend() == "tensorflow":
        found = tensorflow_flops(model)
        assert inference_flops(model) == pytest.approx(found, rel=0.02)


def tensorflow_flops(model):
    """What TensorFlow's profiler counts, of all operations."""
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants as convert

    shape = (1, *model.input_shape[1:])
    function = tf.function(lambda x: model(x, training=False))
    _, graph_def = convert.convert_variables_to_constants_v2_as_graph(
        function.get_concrete_function(tf.TensorSpec(shape))
    )
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
        profiler = tf.compat.v1.profiler
        options = profiler.ProfileOptionBuilder.float_operation()
        options["output"] = "none"
        return profiler.profile(graph, options=options).total_float_ops


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="XLA's count")
def test_xla():
    """XLA leaves out where a kernel hangs over the edge: so none does here."""
    import jax

    model = keras.Sequential(
        [
            keras.Input((16, 16, 8)),
            layers.Conv2D(16, 3, strides=2),
            layers.Conv2D(32, 3),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )

    def forward(trainable, x):
        return model.stateless_call(trainable, [], x, training=False)[0]

    def loss(trainable, x):
        return ops.sum(ops.square(forward(trainable, x)))

    values = [v.value for v in model.trainable_variables]
    x = np.zeros((1, 16, 16, 8), "float32")

    def count(function):
        compiled = jax.jit(function).lower(values, x).compile()
        return compiled.cost_analysis()["flops"]

    flops = inference_flops(model)
    assert flops == pytest.approx(count(forward), rel=0.02)
    gradients = jax.value_and_grad(loss, argnums=(0, 1))
    assert 3 * flops == pytest.approx(count(gradients), rel=0.02)
