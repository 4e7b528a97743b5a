"""The kernels as ops of TensorFlow, and without them by way of NumPy."""

import importlib
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from keras_snn import backend
from keras_snn.compute import native
from keras_snn.compute.sparse_dense import SparseDense

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow has these ops", allow_module_level=True)
tf = pytest.importorskip("tensorflow")
FORWARD = native.Kernel("forward", threaded=False)


def arguments(dtype="float32"):
    """Those of a product of three samples by a kernel of 2 x 2, all ones."""
    ints = [[1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 0, 0, 1], [0, 2, 4], [0, 1, 0, 1]]
    ints = [tf.constant(each) for each in ints]
    x = np.arange(6).reshape(3, 1, 1, 2)
    return [*ints, tf.ones(4), tf.constant(x, dtype)]


def run(layer, x):
    """What a layer gives for x, and the gradients of its sum of squares."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(y * y)
    return y, *tape.gradient(loss, [x, layer.values.value])


def test_eagerly_compiled_by_numpy_and_on_threads_at_once_the_same(monkeypatch):
    layer = SparseDense(64, 0.8)
    x = keras.random.normal((32, 48), seed=0)
    layer.build(x.shape)
    eager = run(layer, x)
    graph = tf.function(run).get_concrete_function(layer, x).graph
    kinds = {op.type for op in graph.get_operations()}
    assert {"KerasSnn>Forward", "KerasSnn>Gradients"} <= kinds
    results = [tf.function(run)(layer, x)]
    with ThreadPoolExecutor(2) as threads:
        results += threads.map(lambda _: run(layer, x), range(8))
    monkeypatch.setattr(native.Kernel, "op", property(lambda self: None))
    by_numpy = tf.function(run).get_concrete_function(layer, x).graph
    kinds = {op.type for op in by_numpy.get_operations()}
    assert not any("KerasSnn" in kind for kind in kinds)
    results.append(run(layer, x))
    for result in results:
        for got, expected in zip(result, eager, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("place", [0, 1])
def test_without_both_in_sight_each_gradient_is_an_op_of_its_own(place):
    layer = SparseDense(16, 0.8)
    layer.build((None, 24))
    tensors = [keras.random.normal((8, 24), seed=0), layer.values.value + 0]

    def square(x, values):
        state = [v.value for v in layer.non_trainable_variables]
        y, _ = layer.stateless_call([values, layer.bias.value], state, x)
        return tf.reduce_sum(y * y)

    def gradient(function, *watched):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            value = function(*tensors)
        return tape.gradient(value, watched)

    one = tf.function(lambda: gradient(square, tensors[place]))
    outside = gradient(tf.function(square), *tensors)
    graph = one.get_concrete_function().graph
    kinds = {op.type for op in graph.get_operations()}
    assert {"KerasSnn>InputGradient", "KerasSnn>WeightGradient"} <= kinds
    assert "KerasSnn>Gradients" not in kinds
    expected = gradient(square, *tensors)
    for got, at in (one()[0], place), (outside[0], 0), (outside[1], 1):
        np.testing.assert_allclose(got, expected[at], rtol=1e-4, atol=1e-4)


def test_of_another_dtype_is_an_error():
    shape = (None, 1, 1, 2)
    result = backend.call_kernel(FORWARD, arguments(), shape)
    np.testing.assert_array_equal(result[:, 0, 0], [[1, 1], [5, 5], [9, 9]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="float tensor"):
        backend.call_kernel(FORWARD, arguments("float64"), shape)


def test_loaded_anew_the_ops_are_those_that_there_were():
    module = importlib.import_module("keras_snn.compute.tensorflow_ops")
    before = module.registered("forward", threaded=False)
    module = importlib.reload(module)
    assert module.registered("forward", threaded=False) == before


def test_without_the_c_api_there_is_no_op(monkeypatch):
    module = importlib.import_module("keras_snn.compute.tensorflow_ops")
    monkeypatch.setitem(vars(tf), "_keras_snn_ops", {})
    monkeypatch.setattr(module, "CALLED", ["TF_NoSuchFunction"])
    module._library.cache_clear()
    assert module.registered("forward", threaded=False) is None
    module._library.cache_clear()
