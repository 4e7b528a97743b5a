import types

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import schedules
from keras_snn.compute import conversion
from keras_snn.compute import timing
from keras_snn.compute.sparse_conv import SparseConv2D
from keras_snn.compute.sparse_dense import SparseDense
from keras_snn.compute.sparse_layer import SparseLayer
from keras_snn.masking.mask_state import masked_weights

X = np.random.default_rng(0).normal(size=(6, 6, 6, 4)).astype("float32")


def dense_model():
    inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(8, 3, padding="same", name="conv1")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    y = layers.Conv2D(8, 1, use_bias=False, name="conv2")(x)
    x = layers.Flatten()(layers.add([x, y]))
    block = keras.Sequential(
        [
            keras.Input((288,)),
            layers.Dense(64, "relu", name="hidden"),
            layers.Dropout(0.5, seed=1),
        ],
        name="block",
    )
    outputs = layers.Dense(3, name="last")(block(x))
    return keras.Model(inputs, outputs)


@pytest.fixture
def masked():
    return keras_snn.sparsify(dense_model(), 0.85, "uniform", seed=1)


def outputs_of(model):
    return ops.convert_to_numpy(model(X))


def kinds(model):
    return {
        path: type(m.owner.layer) for path, m in masked_weights(model).items()
    }


def assert_same(model, other):
    np.testing.assert_allclose(
        outputs_of(model), outputs_of(other), rtol=1e-4, atol=1e-4
    )
    ours, theirs = masked_weights(model), masked_weights(other)
    assert list(ours) == list(theirs)
    for path, masked in ours.items():
        assert masked.index == theirs[path].index, path
        assert masked.input_axes == theirs[path].input_axes
        for array in ("mask_array", "weight_array"):
            np.testing.assert_array_equal(
                getattr(masked, array)(), getattr(theirs[path], array)()
            )


def test_there_and_back(masked):
    sparse = keras_snn.to_sparse(masked, "all")
    assert kinds(sparse) == {
        "conv1/kernel": SparseConv2D,
        "conv2/kernel": SparseConv2D,
        "block/hidden/kernel": SparseDense,
        "last/kernel": SparseDense,
    }
    assert keras_snn.sparsity(sparse) == keras_snn.sparsity(masked)
    assert_same(masked, sparse)
    dense = keras_snn.to_dense(sparse)
    assert kinds(dense) == kinds(masked)
    assert_same(masked, dense)
    assert_same(masked, keras_snn.to_sparse(dense, "all"))


def test_room_for_more_is_given_up(masked):
    sparse = keras_snn.to_sparse(masked, "all")
    keras_snn.prune_magnitude(sparse, 0.95)
    layer = keras_snn.to_sparse(sparse).get_layer("block").get_layer("hidden")
    assert 0 < layer.nonzeros < sparse.get_layer("block").layers[0].nonzeros
    assert layer.nonzeros == len(layer.positions()) == layer.values.shape[0]
    assert_same(sparse, keras_snn.to_sparse(sparse))


def test_a_layer_without_nonzeros_computes_sparse(masked):
    """Which the study of layer collapse leaves."""
    empty = {"block/hidden/kernel": np.zeros((288, 64), bool)}
    keras_snn.set_masks(masked, empty, keep_layers=False)
    sparse = keras_snn.to_sparse(masked, "all")
    assert kinds(sparse)["block/hidden/kernel"] is SparseDense
    assert_same(masked, sparse)
    assert_same(masked, keras_snn.to_sparse(sparse, "all"))
    assert_same(masked, keras_snn.to_dense(sparse))
    masked = keras_snn.to_sparse(masked)  # Where it stays masked.


def test_convolutions_stay_channels_last(masked):
    sparse = keras_snn.to_sparse(masked, "all")
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        dense = keras_snn.to_dense(sparse)
    finally:
        keras.config.set_image_data_format(before)
    assert dense.get_layer("conv1").data_format == "channels_last"
    assert_same(masked, dense)


def by_themselves():
    return keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            SparseConv2D(8, 3, 0.8, name="conv"),
            layers.Flatten(),
            SparseDense(16, 0.8, activation="relu", name="hidden"),
            layers.Dense(3, name="last"),
        ]
    )


def test_layers_of_your_own_are_stripped():
    model = by_themselves()
    plain = keras_snn.strip(model)
    assert [type(layer) for layer in plain.layers[::2]] == [
        layers.Conv2D,
        layers.Dense,
    ]
    np.testing.assert_allclose(
        outputs_of(model), ops.convert_to_numpy(plain(X)), atol=1e-5
    )


def test_layers_beside_a_wrapper_are_found():
    """A model with a masked layer and a sparse one, both put there by hand."""
    inputs = keras.Input((8,))
    x = keras_snn.MaskedLayer(layers.Dense(9, name="a"))(inputs)
    outputs = SparseDense(5, 0.8, name="b")(x)
    model = keras.Model(inputs, outputs)
    weights = masked_weights(model)
    assert list(weights) == ["a/kernel", "b/kernel"]
    assert len({masked.index for masked in weights.values()}) == 2
    assert keras_snn.sparsity(model) == pytest.approx(1 - (72 + 9) / (72 + 45))
    with pytest.raises(ValueError, match="taken apart"):
        keras_snn.strip(model)


@pytest.mark.parametrize(
    "wrapper", [keras_snn.StraightThroughLayer, keras_snn.MovementLayer]
)
def test_no_weights_outside_the_masks_to_train(wrapper):
    with pytest.raises(ValueError, match="store only their nonzeros"):
        keras_snn.sparsify(by_themselves(), 0.5, wrapper=wrapper)
    inputs = keras.Input((8,))
    x = wrapper(layers.Dense(8, name="a"))(inputs)
    outputs = SparseDense(5, 0.8, name="b")(x)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    before = [w.numpy() for w in model.weights]
    methods = (
        [keras_snn.SRSTEUpdate("2:4"), keras_snn.TopKASTUpdate(0.8, 0.5)]
        if wrapper is keras_snn.StraightThroughLayer
        else [
            keras_snn.MovementUpdate(
                schedules.DuringTraining(0.8, begin=0, end=0.8, interval=2)
            )
        ]
    )
    x, y = np.ones((4, 8), "float32"), np.ones((4, 5), "float32")
    for method in methods:
        with pytest.raises(ValueError, match="cannot be trained"):
            model.fit(x, y, verbose=0, callbacks=[method])
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_what_is_sparse_already_is_not_to_be_included():
    model = by_themselves()
    with pytest.raises(ValueError, match="masks without a wrapper"):
        keras_snn.sparsify(model, 0.5, include=SparseDense)
    masked = keras_snn.sparsify(model, 0.5)  # All else is wrapped.
    paths = "conv/kernel", "hidden/kernel", "last/kernel"
    assert tuple(masked_weights(masked)) == paths


def test_where_it_pays(tmp_path):
    small = keras.Sequential(
        [
            keras.Input((128,)),
            layers.Dense(160, "relu", name="large"),
            layers.Dense(10, name="small"),
        ]
    )
    small = keras_snn.sparsify(small, 0.8)
    sparse = keras_snn.to_sparse(small)
    assert kinds(sparse) == {
        "large/kernel": SparseDense,
        "small/kernel": layers.Dense,
    }
    lines = []
    keras_snn.summary(sparse, print_fn=lines.append, line_length=100)
    (line,) = [each for each in lines[0].split("\n") if "large/kernel" in each]
    assert "sparse" in line
    reason = "slower: fewer than 16384 multiplications: small/kernel"
    assert f"Computed masked:\n  {reason}\n" in lines[0]
    sparse.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    keras_snn.summary(loaded, print_fn=lines.append, line_length=100)
    assert reason in lines[1]
    x = X.reshape(6, -1)[:, :128]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(sparse(x)), ops.convert_to_numpy(loaded(x))
    )
    for path, mask in keras_snn.get_masks(small).items():
        np.testing.assert_array_equal(mask, keras_snn.get_masks(loaded)[path])


def test_few_weights_pay_on_many_pixels():
    def convolving(pixels):
        return keras_snn.sparsify(
            keras.Sequential(
                [keras.Input((pixels, pixels, 8)), layers.Conv2D(8, 3)]
            ),
            0.8,
        )

    (kind,) = kinds(keras_snn.to_sparse(convolving(8))).values()
    assert kind is SparseConv2D
    for pixels in (7, None):  # 5 * 5 * 576 multiplications; not known.
        with pytest.raises(ValueError, match="fewer than 16384 multip"):
            keras_snn.to_sparse(convolving(pixels))


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="Keras copies on PyTorch alone"
)
def test_keras_copies_no_images_where_layers_compute_sparse():
    from keras.src.backend.torch import nn

    found = []

    class Look(layers.Layer):
        def call(self, inputs):
            turned = nn._transpose_spatial_inputs(inputs)
            found.append(turned.data_ptr() == inputs.data_ptr())
            return inputs

    masked = keras_snn.sparsify(
        keras.Sequential([keras.Input((8, 8, 8)), Look(), layers.Conv2D(8, 3)]),
        0.8,
    )
    sparse = keras_snn.to_sparse(masked)
    for model, expected in ((masked, False), (sparse, True)):
        found.clear()
        model(np.ones((2, 8, 8, 8), "float32"))
        assert found == [expected]


def test_stripped_of_all_that_is_ours(masked):
    sparse = keras_snn.to_sparse(masked, "all")
    expected = outputs_of(sparse)
    plain = keras_snn.strip(sparse)
    assert not any(
        type(layer).__module__.startswith("keras_snn")
        for layer in plain._flatten_layers()
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(plain(X)), expected, rtol=1e-4, atol=1e-4
    )


def test_sparsify_computes_sparse(masked):
    model = keras_snn.sparsify(
        dense_model(), 0.85, "uniform", seed=1, compute="sparse"
    )
    assert kinds(model)["block/hidden/kernel"] is SparseDense
    assert kinds(model)["last/kernel"] is layers.Dense  # It is small.
    for path, mask in keras_snn.get_masks(masked).items():
        np.testing.assert_array_equal(mask, keras_snn.get_masks(model)[path])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: keras_snn.to_sparse(m, "some"), "`policy` must be one of"),
        (
            lambda m: keras_snn.to_sparse(m, "measured", batch_size=0),
            "`batch_size` must be",
        ),
        (
            lambda m: keras_snn.to_sparse(
                keras_snn.sparsify(dense_model(), 0.3)
            ),
            r"one of its layers can.*'last/kernel': 'slower: fewer",
        ),
        (
            lambda m: keras_snn.sparsify(dense_model(), compute="fast"),
            "`compute` must be",
        ),
        (lambda m: keras_snn.to_sparse(dense_model()), "needs masks"),
        (
            lambda m: keras_snn.to_sparse(
                keras_snn.sparsify(
                    dense_model(), 0.8, wrapper=keras_snn.StraightThroughLayer
                )
            ),
            "cannot train weights outside",
        ),
        (
            lambda m: keras_snn.set_masks(
                keras_snn.to_sparse(m, "all"),
                {"last/kernel": np.ones((64, 3), bool)},
            ),
            "room for the nonzeros",
        ),
        (
            lambda m: keras_snn.synflow(keras_snn.to_sparse(m, "all"), 0.9),
            "looks at whole kernels",
        ),
        (
            lambda m: keras_snn.grasp(
                keras_snn.to_sparse(m, "all"), X, np.zeros((6, 3)), 0.9
            ),
            "looks at whole kernels",
        ),
        (
            lambda m: keras_snn.prune_channels(
                keras_snn.to_sparse(m, "all"), 0.5
            ),
            "looks at whole kernels",
        ),
    ],
)
def test_refused(masked, change, match):
    with pytest.raises(ValueError, match=match):
        change(masked)


def test_what_is_measured_to_be_faster_computes_sparse(masked, monkeypatch):
    seen = {}

    def speedup(dense, sparse, shape, batch_size):
        assert shape[-1] and batch_size == 4
        ratio = timing.speedup(dense, sparse, shape, batch_size)
        assert 0 < ratio < 1000
        seen[dense.name] = sparse
        return 2.0 if dense.name == "last" else 0.5

    monkeypatch.setattr(
        conversion, "timing", types.SimpleNamespace(speedup=speedup)
    )
    model = keras_snn.to_sparse(masked, "measured", batch_size=4)
    sparse = [p for p, k in kinds(model).items() if issubclass(k, SparseLayer)]
    assert sparse == ["last/kernel"]  # Small as it is.
    assert seen.keys() >= {"hidden", "last"}
    assert "slower: 0.50 of dense speed" in str(keras_snn.summary(model))
    for path, mask in keras_snn.get_masks(masked).items():
        np.testing.assert_array_equal(mask, keras_snn.get_masks(model)[path])


def test_a_penalty_on_activations_stays():
    inputs = keras.Input((8,))
    x = layers.Dense(8, activity_regularizer="l2", name="a")(inputs)
    outputs = layers.Dense(8, name="b")(x)
    model = keras_snn.sparsify(keras.Model(inputs, outputs), 0.9)
    sparse = keras_snn.to_sparse(model, policy="all")
    assert type(sparse.get_layer("a")) is layers.Dense
    assert type(sparse.get_layer("b")) is SparseDense


def test_what_finds_no_room_changes_nothing(masked):
    sparse = keras_snn.to_sparse(masked, policy="all")
    sparse.compile("sgd", "mse")
    before = [w.numpy() for w in sparse.weights]
    masks = keras_snn.get_masks(sparse)
    roomier = dict(masks)
    *_, first, last = masks
    roomier[first] = masks[first] & False
    roomier[first].flat[0] = True
    roomier[last] = masks[last] | True
    with pytest.raises(ValueError, match="room"):
        keras_snn.set_masks(sparse, roomier)
    y = np.ones((6, 3), "float32")
    snfs = keras_snn.SNFSUpdate((X, y), drop_fraction=0.9)
    with pytest.raises(ValueError, match="room"):
        snfs.update(sparse, 1, 0.0)
    for weight, value in zip(sparse.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_reinitialize_comes_before(masked):
    sparse = keras_snn.to_sparse(masked, policy="all")
    with pytest.raises(ValueError, match="before `to_sparse`"):
        keras_snn.reinitialize(sparse)
