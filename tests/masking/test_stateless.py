"""Loops of a user's own that hold the state, or an optimizer, of their own."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import GMPUpdate
from keras_snn import SETUpdate
from keras_snn import get_masks
from keras_snn import stateless_update
from keras_snn.masking.mask_state import masked_weights
from keras_snn.schedules import ConstantSparsity

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype("float32")
Y = RNG.normal(size=(16, 3)).astype("float32")
backend = keras.backend.backend()


def model_of(sparsity=0.5):
    keras.utils.set_random_seed(5)
    dense = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(16, name="first"),
            layers.BatchNormalization(),
            layers.Dense(3, name="last"),
        ]
    )
    return keras_snn.sparsify(dense, sparsity)


def values(variables):
    return [ops.copy(v.value) for v in variables]


def assert_zero_outside(model):
    for path, masked in masked_weights(model).items():
        assert not masked.weight_array()[~masked.mask_array()].any(), path


def stateless_step(model, optimizer):
    import jax

    def loss(trainable, non_trainable):
        outputs, non_trainable = model.stateless_call(
            trainable, non_trainable, X, training=True
        )
        return ops.mean((outputs - Y) ** 2), non_trainable

    @jax.jit
    def step(trainable, non_trainable, slots):
        gradients, non_trainable = jax.grad(loss, has_aux=True)(
            trainable, non_trainable
        )
        trainable, slots = optimizer.stateless_apply(
            slots, gradients, trainable
        )
        return trainable, non_trainable, slots

    return step


@pytest.mark.skipif(backend != "jax", reason="a loop of JAX")
def test_the_loop_of_the_docstring_on_jax():
    model = model_of()
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    state = (
        values(model.trainable_variables),
        values(model.non_trainable_variables),
        values(optimizer.variables),
    )
    train_step = stateless_step(model, optimizer)
    method, seen = SETUpdate(drop_fraction=0.5), [get_masks(model)]
    for step in range(1, 13):
        if step % 4 == 0:
            state = stateless_update(
                lambda step=step: method.update(
                    model, step, step / 12, optimizer=optimizer
                ),
                model,
                state,
                optimizer=optimizer,
            )
            seen.append(get_masks(model))
        state = train_step(*state)
    for variables, arrays in zip(
        (model.trainable_variables, model.non_trainable_variables),
        state[:2],
        strict=True,
    ):
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
    assert_zero_outside(model)
    for path, mask in get_masks(model).items():
        assert (mask == seen[-1][path]).all()  # No update was lost.
        assert (mask != seen[0][path]).any()


@pytest.mark.skipif(backend != "jax", reason="a loop of JAX")
def test_inside_a_compiled_function_it_says_so():
    import jax

    model = model_of()
    before = values(model.variables)

    @jax.jit
    def compiled(*state):
        return stateless_update(lambda: None, model, state)

    with pytest.raises(ValueError, match="outside of compiled functions"):
        compiled(
            values(model.trainable_variables),
            values(model.non_trainable_variables),
        )
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_from_state_to_state_on_any_backend():
    model, optimizer = model_of(), keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    state = (
        [v + 1 for v in values(model.trainable_variables)],
        values(model.non_trainable_variables),
        [ops.ones_like(v) for v in values(optimizer.variables)],
    )
    masks = {path: ~mask for path, mask in get_masks(model).items()}
    new = stateless_update(
        lambda: keras_snn.set_masks(model, masks, optimizer=optimizer),
        model,
        state,
        optimizer=optimizer,
    )
    parts = [model.trainable_variables, model.non_trainable_variables]
    for part, variables in zip(new, [*parts, optimizer.variables], strict=True):
        for value, variable in zip(part, variables, strict=True):
            np.testing.assert_array_equal(
                ops.convert_to_numpy(value), variable.numpy()
            )
    assert_zero_outside(model)
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, masks[path])
    (bias,) = (v for v in model.trainable_variables if "last/bias" in v.path)
    np.testing.assert_array_equal(bias.numpy(), 1)


def test_a_state_of_another_model_is_refused():
    model = model_of()
    state = values(model.trainable_variables), []
    with pytest.raises(ValueError, match="must hold the values"):
        stateless_update(lambda: None, model, state)


@pytest.mark.parametrize(
    "update",
    [
        lambda model: SETUpdate().update(model, 1, 0.1),
        lambda model: GMPUpdate(ConstantSparsity(0.6, 0)).update(model, 0.6),
    ],
)
def test_weights_that_came_back_are_told(update):
    model = model_of()
    update(model)
    before = get_masks(model)
    for masked in masked_weights(model).values():
        masked.weight.assign(np.ones(masked.shape))
    with pytest.raises(ValueError, match="`stateless_update`.*first/kernel"):
        update(model)
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, before[path])


def torch_optimizers(model):
    import torch

    parameters = [v.value for v in model.trainable_variables]
    return {
        "SGD": torch.optim.SGD(
            parameters, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01
        ),
        "AdamW": torch.optim.AdamW(parameters, 0.05, amsgrad=True),
        "Adagrad": torch.optim.Adagrad(
            parameters, 0.1, initial_accumulator_value=0.5
        ),
        "RMSprop": torch.optim.RMSprop(
            parameters, 0.01, momentum=0.9, centered=True
        ),
        "Rprop": torch.optim.Rprop(parameters, 0.01),
    }


@pytest.mark.skipif(backend != "torch", reason="optimizers of PyTorch")
@pytest.mark.parametrize(
    "name", ["SGD", "AdamW", "Adagrad", "RMSprop", "Rprop"]
)
def test_the_loop_of_the_docstring_on_torch(name):
    model = model_of()
    optimizer = torch_optimizers(model)[name]
    method, before = SETUpdate(drop_fraction=0.5), get_masks(model)
    for step in range(1, 13):
        if step % 4 == 0:
            method.update(model, step, step / 12, optimizer=optimizer)
            assert_zero_outside(model)
        outputs = model(X, training=True)
        loss = ops.mean((outputs - ops.convert_to_tensor(Y)) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert_zero_outside(model)
    for path, mask in get_masks(model).items():
        assert (mask != before[path]).any()
        assert mask.sum() == before[path].sum()


@pytest.mark.skipif(backend != "torch", reason="optimizers of PyTorch")
def test_an_optimizer_of_other_parameters_is_refused():
    import torch

    model, other = model_of(), model_of()
    masks = {path: ~mask for path, mask in get_masks(model).items()}
    before = get_masks(model)
    for optimizer, message in (
        (torch.optim.SGD(other.parameters()), "SGD of others"),
        (torch.optim.LBFGS([model.variables[0].value]), "one vector"),
    ):
        with pytest.raises(ValueError, match=message):
            keras_snn.set_masks(model, masks, optimizer=optimizer)
    with pytest.raises(TypeError, match="on PyTorch one of its own.*'sgd'"):
        keras_snn.set_masks(model, masks, optimizer="sgd")
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, before[path])
