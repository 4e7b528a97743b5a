import keras
import numpy as np
import pytest
from keras import ops

from keras_snn.backend import gradient
from keras_snn.backend import hessian_vector_product
from keras_snn.backend import jit
from keras_snn.backend import map_batch
from keras_snn.gradients.of_loss import loss_gradients


def numpy(tensors):
    return keras.tree.map_structure(ops.convert_to_numpy, tensors)


def test_one_tensor():
    x = np.array([1.0, 2.0], "float32")
    result = numpy(gradient(lambda t: ops.sum(t**2), x))
    np.testing.assert_allclose(result, [2.0, 4.0])


def test_list_with_an_unconnected_tensor():
    tensors = [ops.ones((2,)), ops.ones((2, 1)), ops.full((1,), 3.0)]
    result = numpy(gradient(lambda t: ops.sum(t[0] * t[2]), tensors))
    assert isinstance(result, list)
    for got, expected in zip(result, ([3, 3], [[0], [0]], [2]), strict=True):
        np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("compiled", [False, True])
def test_tensors_beside_the_scalar(compiled):
    def step(x):
        return gradient(lambda t: (ops.sum(t**2), [t + 1]), x, has_aux=True)

    x = ops.convert_to_tensor([1.0, 2.0])
    result, (beside,) = (jit(step) if compiled else step)(x)
    np.testing.assert_allclose(numpy(result), [2.0, 4.0])
    np.testing.assert_allclose(numpy(beside), [2.0, 3.0])


def test_nothing_connected():
    result = gradient(lambda t: ops.sum(ops.ones((3,))), [ops.ones((2,))])
    np.testing.assert_array_equal(numpy(result)[0], [0, 0])


def test_compiled_and_second_order_of_operations():
    step = jit(lambda x: gradient(lambda t: ops.sum(t**3), x) + 1.0)
    for value in (1.0, 2.0):
        result = numpy(step(ops.full((2,), value)))
        np.testing.assert_allclose(result, 3 * value**2 + 1)


@pytest.mark.parametrize("compiled", [False, True])
def test_hessian_times_vector_by_hand(compiled):
    """Of x^3 y + z it is [[6xy, 3x^2, 0], [3x^2, 0, 0], [0, 0, 0]]."""

    def function(tensors):
        x, y, z = tensors
        return ops.sum(x**3 * y) + ops.sum(z)

    def product(tensors, vectors):
        return hessian_vector_product(function, tensors, vectors)

    point = [ops.full((2,), v) for v in (2.0, 5.0, 7.0)]
    vectors = [ops.full((2,), v) for v in (1.0, -1.0, 1.0)]
    result = numpy((jit(product) if compiled else product)(point, vectors))
    for got, expected in zip(result, (60 - 12, 12, 0), strict=True):
        np.testing.assert_allclose(got, [expected] * 2, rtol=1e-6)


def test_nothing_curved():
    point = [ops.ones((2,))]
    result = hessian_vector_product(lambda t: ops.sum(t[0]), point, point)
    np.testing.assert_array_equal(numpy(result)[0], [0, 0])


def test_gathered_weights_give_a_dense_gradient():
    table = ops.ones((3, 2))
    result = gradient(lambda t: ops.sum(ops.take(t, [0, 0, 2], axis=0)), table)
    np.testing.assert_allclose(numpy(result), [[2, 2], [0, 0], [1, 1]])


@pytest.mark.parametrize("compiled", [False, True])
def test_weights_of_a_model_are_not_altered(compiled):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.BatchNormalization()]
    )
    x = ops.convert_to_tensor(np.arange(6.0, dtype="float32").reshape(2, 3))
    before = model.get_weights()

    def gradients(trainable, non_trainable):
        def loss(trainable):
            outputs, _ = model.stateless_call(
                trainable, non_trainable, x, training=True
            )
            return ops.sum(outputs * x)

        return gradient(loss, trainable)

    function = jit(gradients) if compiled else gradients
    result = function(
        [v.value for v in model.trainable_variables],
        [v.value for v in model.non_trainable_variables],
    )
    gamma, beta = numpy(result)
    np.testing.assert_allclose(gamma, [3, 3, 3], rtol=1e-3)
    np.testing.assert_allclose(beta, [3, 5, 7], rtol=1e-6)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # On PyTorch the values are parameters, where gradients pile up.
    assert all(getattr(v.value, "grad", None) is None for v in model.variables)


class Shifted(keras.Model):
    """Adds its step count to the batch before it trains on it."""

    def __init__(self):
        super().__init__()
        self.count = self.add_weight(
            shape=(), initializer="zeros", trainable=False
        )
        self.mean = self.add_weight(shape=(), initializer="zeros")
        self.built = True

    def call(self, x):
        return x * 0.0 + self.mean

    def train_step(self, *step):
        return super().train_step(*map_batch(self.shift, self, *step))

    def shift(self, data):
        x, y = data
        self.count.assign_add(1.0)
        return ops.convert_to_tensor(x), y + self.count.value


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_map_batch_changes_data_and_variables(run_eagerly):
    model = Shifted()
    # The gradient of the mean absolute error is the sign of mean - y.
    model.compile(keras.optimizers.SGD(0.25), "mae", run_eagerly=run_eagerly)
    zeros = np.zeros((4, 1), "float32")
    history = model.fit(zeros, zeros, batch_size=2, shuffle=False, verbose=0)
    assert ops.convert_to_numpy(model.count) == 2
    assert ops.convert_to_numpy(model.mean) == pytest.approx(0.5)
    # |0 - 1|, then |0.25 - 2|
    assert history.history["loss"] == [pytest.approx((1 + 1.75) / 2)]


@pytest.mark.parametrize("weights", [None, np.array([1.0, 0.0, 3.0])])
def test_a_loss_by_name_is_the_loss(weights):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
    x, y = np.arange(6.0).reshape(3, 2), np.ones((3, 4))
    one, other = (
        loss_gradients(
            model, model.trainable_variables, x, y, loss, sample_weight=weights
        )
        for loss in ("mse", keras.losses.MeanSquaredError())
    )
    for by_name, by_object in zip(one, other, strict=True):
        assert by_object.any()
        np.testing.assert_allclose(by_name, by_object, rtol=1e-5)
