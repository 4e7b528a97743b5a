"""What Keras does not promise is still as we use it: each by its name."""

import inspect

import keras
import numpy as np
import pytest
from keras import layers

from keras_snn.masking import keras_private


def model_of():
    return keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, name="a"), layers.Dense(2)]
    )


def test_functional_class():
    symbol = keras.Input((2,))
    graph = keras.Model(symbol, layers.Dense(1)(symbol))
    assert type(graph) is keras_private.functional_class()
    assert issubclass(keras.Sequential, keras.Model)
    assert not isinstance(model_of(), keras_private.functional_class())


class Catching(layers.Layer):
    def call(self, *args, **kwargs):
        return kwargs["other"] + args[0]

    def compute_output_spec(self, *args, **kwargs):
        return args[0]


def test_bind_call_tells_keras_which_arguments_there_are():
    def call(inputs, other, training=None):
        """Of a layer inside."""

    layer = Catching()
    keras_private.bind_call(layer, inspect.signature(call))
    assert keras_private.call_signature(layer) == inspect.signature(call)
    outputs = layer(
        np.ones((1, 2), "float32"), other=np.ones((1, 2), "float32")
    )
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(outputs), [[2, 2]])


def test_signature_of():
    names = list(keras_private.signature_of(layers.Dropout(0.5)).parameters)
    assert names == ["inputs", "training"]


def test_a_scope_of_values_is_the_innermost():
    variable = keras.Variable(np.zeros(2, "float32"))
    assert keras_private.stateless_scope() is None
    with keras.StatelessScope():
        values = {id(variable): keras.ops.ones(2)}
        with keras_private.ScopeOfValues(values) as scope:
            assert keras_private.stateless_scope() is scope
            seen = keras.ops.convert_to_numpy(variable.value)
            variable.assign(variable.value + 1)
            assert float(keras.ops.sum(variable.value)) == 4
        assert keras_private.stateless_scope() is not scope
    np.testing.assert_array_equal(seen, [1, 1])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), [0, 0])
    assert float(keras.ops.sum(values[id(variable)])) == 2


def test_flattened_and_child_layers():
    inner = model_of()
    outer = keras.Sequential([keras.Input((3,)), inner, layers.ReLU()])
    flat = keras_private.flattened_layers(outer)
    assert flat[0] is outer and inner in flat and inner.layers[0] in flat
    children = keras_private.child_layers(outer)
    assert inner in children
    assert outer not in children and inner.layers[0] not in children


@pytest.mark.skipif(
    keras.backend.backend() != "jax"
    or "layout" not in inspect.signature(keras.Variable.__init__).parameters,
    reason="Keras lays out variables on JAX, newer ones by an argument",
)
def test_lay_out_as_splits_a_variable_over_devices():
    mesh = keras.distribution.DeviceMesh((4,), ("model",))
    layout = keras.distribution.TensorLayout((None, "model"), mesh)
    split = keras.Variable(np.ones((2, 4)), layout=layout)
    alike = keras.Variable(np.eye(2, 4))
    alone = split.value.sharding, alike.value.sharding
    assert len(alike.value.addressable_shards) == 1
    keras_private.lay_out_as(alike, split)
    assert alike.value.sharding == split.value.sharding == alone[0]
    np.testing.assert_array_equal(alike.numpy(), np.eye(2, 4))
    plain = keras.Variable(np.ones((2, 4)))
    keras_private.lay_out_as(plain, keras.Variable(np.zeros((2, 4))))
    assert plain.value.sharding == alone[1]


def test_node_of():
    symbol = keras.Input((2,))
    layer = layers.Dense(1)
    node = keras_private.node_of(layer(symbol))
    assert node.operation is layer
    assert node.input_tensors == [symbol]


class Watching(keras.Model):
    def __init__(self):
        super().__init__()
        self.tracker = keras.metrics.Mean("own")

    def call(self, inputs):
        return inputs


def test_own_metrics():
    model = Watching()
    model.compile("sgd", "mse", metrics=["mae"])
    assert keras_private.own_metrics(model) == [model.tracker]


@pytest.mark.parametrize("scaled", [False, True])
def test_batches_of_an_optimizer(scaled):
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=3)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model = model_of()
    model.compile(optimizer, "mse", jit_compile=False)
    model.fit(np.ones((8, 3)), np.ones((8, 2)), batch_size=2, verbose=0)
    assert keras_private.batches_done(optimizer) == 4
    assert keras_private.batches_an_update(optimizer) == 3


def test_slots():
    model = model_of()
    optimizer = keras.optimizers.Adagrad(0.1, initial_accumulator_value=0.3)
    kernel, bias, *_ = model.trainable_variables
    assert not list(keras_private.slots(optimizer, kernel))
    optimizer.build(model.trainable_variables)
    ((slot, start),) = keras_private.slots(optimizer, kernel)
    np.testing.assert_allclose(slot.numpy(), np.full((3, 4), 0.3))
    assert start == 0.3 and slot.shape == (3, 4)
    ((slot, _),) = keras_private.slots(optimizer, bias)
    assert slot.shape == (4,)
    assert not list(keras_private.slots(None, kernel))


def test_slots_without_averages():
    model = model_of()
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)
    optimizer.build(model.trainable_variables)
    kernel = model.trainable_variables[0]
    assert len(list(keras_private.slots(optimizer, kernel))) == 2
    ((slot, _),) = keras_private.slots(optimizer, kernel, averages=False)
    assert "momentum" in slot.path


@pytest.mark.parametrize("scaled", [False, True])
def test_exclude_from_weight_decay(scaled):
    model = model_of()
    optimizer = inner = keras.optimizers.SGD(0.1, weight_decay=0.5)
    first, second, third, fourth = variables = model.trainable_variables
    optimizer.exclude_from_weight_decay([first])
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    assert keras_private.exclude_from_weight_decay(optimizer, [third])
    assert not keras_private.exclude_from_weight_decay(optimizer, [third])
    inner.apply([keras.ops.zeros_like(v.value) for v in variables], variables)
    for variable, value in ((first, 1), (second, 0.95), (third, 1)):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-6)
    np.testing.assert_allclose(fourth.numpy(), 0.95, rtol=1e-6)
    plain = keras.optimizers.SGD(0.1)
    assert not keras_private.exclude_from_weight_decay(plain, [third])
    assert not keras_private.exclude_from_weight_decay(None, [third])


def test_train_function_takes_another_step_and_leaves_the_own():
    model = model_of()
    jit = keras.backend.backend() == "jax"
    model.compile("sgd", "mse", jit_compile=jit)
    x, y = np.ones((4, 3)), np.ones((4, 2))
    model.fit(x, y, verbose=0)
    own, steps = model.train_function, []
    of_class = model.train_step

    def step(*args):
        steps.append(1)
        return of_class(*args)

    function = keras_private.train_function(model, step)
    assert model.train_function is own and "train_step" not in vars(model)
    model.train_function = function
    model.fit(x, y, verbose=0)
    assert steps  # JAX would have taken it for the one that it compiled.
    model.train_function, count = own, len(steps)
    model.fit(x, y, verbose=0)
    assert len(steps) == count


def test_losses_of_call():
    model = model_of()
    model.compile("sgd", "mse")
    ones = keras.ops.ones((1, 2))
    with keras_private.losses_of_call(model, [keras.ops.full((), 3.0)]):
        loss = model.compute_loss(y=ones, y_pred=ones)
    assert float(loss) == 3
    assert float(model.compute_loss(y=ones, y_pred=ones)) == 0
