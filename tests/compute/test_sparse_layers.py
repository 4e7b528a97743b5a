"""Sparse layers compute what dense ones of the same kernel do."""

import sys
import tracemalloc
import warnings

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_snn import backend
from keras_snn.backend import gradient
from keras_snn.backend import hessian_vector_product
from keras_snn.backend import jit
from keras_snn.compute import native
from keras_snn.compute.sparse_conv import SparseConv2D
from keras_snn.compute.sparse_dense import SparseDense

CASES = {
    "dense": ((40, 24), SparseDense(37, 0.8), layers.Dense(37)),
    "threads": ((256, 256), SparseDense(200, 0.8), layers.Dense(200)),
    "threads, 3x3": (
        (70, 6, 6, 20),
        SparseConv2D(33, 3, 0.75, padding="same"),
        layers.Conv2D(33, 3, padding="same"),
    ),
    "one sample": ((1, 24), SparseDense(16, 0.9), layers.Dense(16)),
    "sequences": ((3, 5, 17), SparseDense(20, 0.75), layers.Dense(20)),
    "3x3 same": (
        (5, 8, 8, 20),
        SparseConv2D(33, 3, 0.9, padding="same"),
        layers.Conv2D(33, 3, padding="same"),
    ),
    "3x3 valid": (
        (2, 9, 8, 5),
        SparseConv2D(17, 3, 0.8),
        layers.Conv2D(17, 3),
    ),
    "3x3 stride 2": (
        (3, 9, 7, 16),
        SparseConv2D(16, 3, 0.9, strides=2, padding="same"),
        layers.Conv2D(16, 3, strides=2, padding="same"),
    ),
    "3x3 stride 2, even": (
        (3, 8, 8, 16),
        SparseConv2D(18, 3, 0.9, strides=2, padding="same"),
        layers.Conv2D(18, 3, strides=2, padding="same"),
    ),
    "3x3 stride 2, valid": (
        (2, 8, 9, 4),
        SparseConv2D(16, 3, 0.8, strides=2),
        layers.Conv2D(16, 3, strides=2),
    ),
    "1x1": ((2, 4, 4, 16), SparseConv2D(32, 1, 0.9), layers.Conv2D(32, 1)),
    "1x1 stride 2": (
        (4, 8, 8, 32),
        SparseConv2D(16, 1, 0.9, strides=2, padding="same"),
        layers.Conv2D(16, 1, strides=2, padding="same"),
    ),
    "5x3, strides 1x2": (
        (1, 7, 6, 3),
        SparseConv2D(64, (5, 3), 0.8, strides=(1, 2), padding="same"),
        layers.Conv2D(64, (5, 3), strides=(1, 2), padding="same"),
    ),
}


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def outputs_and_gradients(layer, x, upstream):
    """Of sum(upstream * layer(x)), by x and the layer's weights."""
    variables = layer.trainable_variables
    upstream = ops.convert_to_tensor(upstream)

    def outputs_of(x, *weights):
        state = [v.value for v in layer.non_trainable_variables]
        return layer.stateless_call(weights, state, x)[0]

    @jit
    def run(*tensors):
        gradients = gradient(
            lambda tensors: ops.sum(outputs_of(*tensors) * upstream),
            list(tensors),
        )
        return outputs_of(*tensors), *gradients

    results = run(ops.convert_to_tensor(x), *(v.value for v in variables))
    return [ops.convert_to_numpy(t) for t in results]


@pytest.mark.parametrize("case", CASES)
def test_same_as_dense(case):
    shape, sparse, dense = (
        CASES[case][0],
        *(type(la).from_config(la.get_config()) for la in CASES[case][1:]),
    )
    x = draw(0, *shape)
    sparse.build(shape)
    dense.build(shape)
    sparse.bias.assign(draw(1, *sparse.bias.shape))
    dense.set_weights([sparse.kernel_array(), sparse.bias])
    upstream = draw(2, *dense.compute_output_shape(shape))
    got = outputs_and_gradients(sparse, x, upstream)
    expected = outputs_and_gradients(dense, x, upstream)
    expected[2] = expected[2].flat[sparse.positions()]
    assert np.count_nonzero(sparse.kernel_array()) == sparse.nonzeros
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_in_a_compiled_function_of_any_batch():
    layer = SparseDense(16, 0.8)
    layer.build((None, 24))

    @jit
    def run(x):
        return layer(x)

    for size in (1, 7, 130):
        x = draw(size, size, 24)
        expected = x @ layer.kernel_array()
        got = ops.convert_to_numpy(run(ops.convert_to_tensor(x)))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_fit_that_asks_for_shapes_first_warns_of_nothing():
    model, x = model_of(), draw(0, 2, 6, 6, 3)
    jit = keras.backend.backend() == "jax"
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=jit)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x, draw(1, 2, 8), verbose=0)
    assert not [w for w in caught if "cannot run" in str(w.message)]


@pytest.mark.parametrize("case", ["threads", "3x3 stride 2"])
def test_a_gradient_asked_for_alone(case):
    shape, layer, _ = CASES[case]
    layer = type(layer).from_config(layer.get_config())
    layer.build(shape)
    state = [v.value for v in layer.non_trainable_variables]
    bias = layer.bias.value

    def loss(x, values):
        outputs, _ = layer.stateless_call([values, bias], state, x)
        return ops.sum(outputs**2)

    x, values = ops.convert_to_tensor(draw(0, *shape)), layer.values.value
    both = gradient(lambda tensors: loss(*tensors), [x, values])
    alone = [
        gradient(lambda x: loss(x, values), x),
        gradient(lambda values: loss(x, values), values),
    ]
    for ours, theirs in zip(both, alone, strict=True):
        ours, theirs = map(ops.convert_to_numpy, (ours, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_second_derivatives_are_those_of_dense():
    shape, sparse, dense = CASES["3x3 stride 2"]
    sparse, dense = (
        type(la).from_config(la.get_config()) for la in (sparse, dense)
    )
    sparse.build(shape)
    dense.build(shape)

    def product(layer, *tensors):
        """Of the Hessian by x and weights with them themselves."""
        state = [v.value for v in layer.non_trainable_variables]
        tensors = [ops.convert_to_tensor(t) for t in tensors]
        bias = layer.bias.value

        def loss(tensors):
            x, weights = tensors
            outputs, _ = layer.stateless_call([weights, bias], state, x)
            return ops.sum(ops.sin(outputs))

        @jit
        def run(*tensors):
            return second_derivative(loss, list(tensors))

        return [ops.convert_to_numpy(t) for t in run(*tensors)]

    x, kernel = draw(0, *shape), sparse.kernel_array()
    got = product(sparse, x, sparse.values.value)
    expected = product(dense, x, kernel)
    expected[1] = expected[1].flat[sparse.positions()]
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def second_derivative(function, tensors):
    """The product of the Hessian with the tensors themselves."""
    if keras.backend.backend() != "jax":
        return hessian_vector_product(function, tensors, tensors)
    import jax  # Ours is by forward mode, which kernels do not have.

    def slope(at):
        gradients = jax.grad(function)(at)
        pairs = zip(gradients, tensors, strict=True)
        return sum(ops.sum(g * t) for g, t in pairs)

    return jax.grad(slope)(tensors)


def test_no_samples():
    layer = SparseDense(16, 0.8)
    assert layer(np.zeros((0, 24), "float32")).shape == (0, 16)


def model_of():
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            SparseConv2D(16, 3, 0.8, strides=2, padding="same", name="conv"),
            layers.Flatten(),
            SparseDense(8, 0.9, use_bias=False, name="dense"),
        ]
    )


def test_saved_and_loaded(tmp_path):
    model, x = model_of(), draw(0, 2, 6, 6, 3)
    model.layers[0].set_nonzeros(np.arange(5), np.ones(5))
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    by_weights = model_of()
    by_weights.load_weights(tmp_path / "model.weights.h5")
    for other in (loaded, by_weights):
        for ours, theirs in zip(
            model.get_weights(), other.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(
            ops.convert_to_numpy(model(x)), ops.convert_to_numpy(other(x))
        )


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("filters", lambda a: a + 100, "output channels outside"),
        ("filters", lambda a: a - 100, "output channels outside"),
        ("filters", lambda a: a[::-1], "increasing order"),
        ("filters", lambda a: a[:-1], "stored"),
        ("filters", lambda a: a.astype("float32"), "float32"),
        ("by_row", lambda a: a + 1, "follow each other"),
        ("by_row", lambda a: a[::-1], "follow each other"),
        ("by_row", lambda a: a[:-1], "rows in place of"),
        ("by_row", lambda a: a * 1000, "stored"),
        ("values", lambda a: a[:-1], "as many nonzeros"),
    ],
)
def test_damaged_files_are_refused(name, change, match):
    layer, store = SparseDense(16, 0.8), {}
    layer.build((None, 30))
    layer.save_own_variables(store)
    store[name] = change(store[name])
    before = layer.get_weights()
    with pytest.raises(ValueError, match=match):
        layer.load_own_variables(store)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("case", ["dense", "sequences", "3x3 stride 2"])
def test_without_numba_the_same_and_a_warning(case, monkeypatch):
    shape, layer, _ = CASES[case]
    layer = type(layer).from_config(layer.get_config())
    layer.build(shape)
    layer.set_nonzeros(layer.positions()[1:-1], 1.0)  # With room for more.
    x, outputs = draw(0, *shape), layer.compute_output_shape(shape)
    upstream = draw(2, *outputs)
    expected = outputs_and_gradients(layer, x, upstream)
    monkeypatch.setattr(native, "missing", lambda: "pip install it")
    with pytest.warns(UserWarning, match="pip install it"):
        got = outputs_and_gradients(layer, x, upstream)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_away_from_the_cpu_it_says_so(monkeypatch):
    monkeypatch.setattr(backend, "no_kernels", lambda tensor: "Elsewhere.")
    with pytest.warns(UserWarning, match="as slow as a dense layer. Elsewh"):
        SparseDense(16, 0.8)(draw(0, 2, 24))


def test_missing_numba_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    native.missing.cache_clear()
    assert "pip install numba" in native.missing()
    native.missing.cache_clear()


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_short_floats_are_computed_in_float32(policy):
    layer = SparseDense(16, 0.8, dtype=policy)
    x = draw(0, 4, 24)
    outputs = layer(x)
    dtype = keras.backend.standardize_dtype(outputs.dtype)
    assert dtype == layer.compute_dtype
    expected = x @ layer.kernel_array()
    got = ops.convert_to_numpy(ops.cast(outputs, "float32"))
    np.testing.assert_allclose(got, expected, rtol=0.05, atol=0.05)


def test_below_the_sparsity_that_pays_it_says_so():
    with pytest.warns(UserWarning, match="faster than a dense one"):
        SparseDense(16, 0.3).build((None, 24))


def test_more_than_an_int32_counts_is_refused():
    for layer, shape in (
        (SparseDense(2**21, 0.999), (None, 2**21)),
        (SparseConv2D(2**28, 3, nonzeros=9), (None, 3, 3, 1)),
    ):
        with pytest.raises(ValueError, match="2147483647 nonzeros"):
            layer.build(shape)


def test_of_the_kernel_nothing_but_its_nonzeros_is_ever_held():
    size = 2**25  # Of which a list takes 256 MB.
    layer = SparseDense(2**12, 0.93)
    tracemalloc.start()
    layer.build((None, 2**13))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert layer.nonzeros == round(0.07 * size)
    assert peak < 64 * layer.nonzeros < 0.6 * 8 * size


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX has float64 by a switch alone"
)
def test_float64_is_computed_dense_and_says_so():
    layer, x = SparseDense(16, 0.8, dtype="float64"), draw(0, 2, 24)
    layer.build((None, 24))
    with pytest.warns(UserWarning, match="the layer in float64"):
        outputs = ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(outputs, x @ layer.kernel_array(), atol=1e-5)


@pytest.mark.parametrize("layer", [SparseDense, SparseConv2D])
def test_inputs_of_unknown_channels_are_refused(layer):
    layer = layer(4, 3, 0.8) if layer is SparseConv2D else layer(4, 0.8)
    shape = (None, 6, 6, None)
    with pytest.raises(ValueError, match="kernel has no shape"):
        layer.build(shape)
    assert not layer.built and not layer.weights


def test_inputs_of_another_rank_are_refused():
    for layer, shape in (
        (SparseDense(8, 0.8), (4,)),
        (SparseConv2D(8, 3, 0.8), (2, 6, 4)),
    ):
        layer.build((2, 6, 6, 4))
        with pytest.raises(ValueError, match="ndim"):
            layer(np.ones(shape, "float32"))


def test_nothing_left_is_refused():
    with pytest.raises(ValueError, match="at least one weight"):
        SparseDense(2, 0.9).build((None, 2))


def test_images_of_unknown_size_are_refused():
    layer = SparseConv2D(4, 3, 0.8)
    with pytest.raises(ValueError, match="images of one size"):
        layer.geometry_for((None, None, None, 8))


def test_initial_values_vary_as_those_of_a_dense_kernel():
    for kind in ("glorot_uniform", "he_normal", "lecun_uniform"):
        initializer = type(keras.initializers.get(kind))(seed=0)
        layer = SparseConv2D(
            64, 3, 0.8, kernel_initializer=initializer, padding="same"
        )
        layer.build((None, 8, 8, 64))
        dense = ops.convert_to_numpy(initializer((3, 3, 64, 64)))
        values = ops.convert_to_numpy(layer.values)
        assert np.std(values) == pytest.approx(np.std(dense), rel=0.05)
        assert abs(np.mean(values)) < np.std(dense) / 20


@pytest.mark.parametrize("channels", [3, 5])
def test_inputs_of_other_channels_are_refused(channels):
    """The kernels would read beyond them, or the wrong ones."""
    for layer, shape in (
        (SparseConv2D(4, 3, sparsity=0.8), (2, 6, 6)),
        (SparseDense(8, sparsity=0.8), (3,)),
    ):
        layer.build((*shape, 4))
        with pytest.raises(ValueError, match="axis -1"):
            layer(np.ones((*shape, channels), "float32"))
