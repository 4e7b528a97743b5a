"""FORCE and Iter-SNIP, round by round."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import force
from keras_snn import get_masks
from keras_snn import snip
from keras_snn.arithmetic import masks as arithmetic
from keras_snn.masking.mask_state import masked_weights
from keras_snn.schedules import exponential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 6)).astype("float32")
Y = RNG.normal(size=(8, 4)).astype("float32")


def linear(sparsity=0.0):
    keras.utils.set_random_seed(4)
    dense = keras.Sequential(
        [keras.Input((6,)), layers.Dense(4, use_bias=False, name="layer")]
    )
    return keras_snn.sparsify(dense, sparsity, seed=3)


def deep(*more, sparsity=0.0):
    keras.utils.set_random_seed(4)
    dense = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(10, activation="relu", name="first"),
            *more,
            layers.Dense(4, name="last"),
        ]
    )
    return keras_snn.sparsify(dense, sparsity, seed=2)


def by_hand(weight, active, sparsity, rounds, revive):
    """Of a linear model's mean squared error, every round in NumPy."""
    mask, trail = active, []
    start = 1 - active.mean()
    for target in exponential(sparsity, rounds, initial_sparsity=start):
        gradient = X.T @ (X @ (weight * mask) - Y) * 2 / Y.size
        score = np.abs(weight * gradient)
        keep = round((1 - target) * weight.size)
        mask = arithmetic.top_k(score, keep, active if revive else mask)
        trail.append(mask)
    return trail


@pytest.mark.parametrize("revive", [True, False])
@pytest.mark.parametrize("sparsity", [0.0, 0.25])
def test_rounds_of_a_linear_model_by_hand(sparsity, revive):
    model = linear(sparsity)
    (masked,) = masked_weights(model).values()
    weight, active = masked.weight_array().copy(), masked.mask_array().copy()
    trail = by_hand(weight, active, 0.75, 6, revive)
    masks = force(model, X, Y, 0.75, rounds=6, revive=revive, loss="mse")
    np.testing.assert_array_equal(masks["layer/kernel"], trail[-1])
    np.testing.assert_array_equal(get_masks(model)["layer/kernel"], trail[-1])
    np.testing.assert_array_equal(masked.weight_array(), weight * trail[-1])
    came_back = any(
        (later & ~earlier).any()
        for earlier, later in zip(trail, trail[1:], strict=False)
    )
    assert revive or not came_back  # Initial weights differ by backend.


def test_one_round_is_snip():
    expected = snip(deep(), X, Y, 0.6, loss="mse")
    masks = force(deep(), X, Y, 0.6, rounds=1, loss="mse")
    for path, mask in masks.items():
        np.testing.assert_array_equal(mask, expected[path])


@pytest.mark.parametrize("revive", [True, False])
def test_nothing_but_masks_changes_and_the_budget_is_met(revive):
    model = deep(layers.BatchNormalization(), layers.Dropout(0.5, seed=1))
    model.compile("adam", "mse")
    weights = masked_weights(model)
    taken = {id(m.weight) for m in weights.values()}
    taken |= {id(m.mask) for m in weights.values()}
    rest = [v for v in model.variables if id(v) not in taken]
    values = [np.array(v.numpy()) for v in rest]
    before = {p: m.weight_array().copy() for p, m in weights.items()}
    masks = force(model, X, Y, 0.9, rounds=5, revive=revive)
    for path, masked in weights.items():
        np.testing.assert_array_equal(
            masked.weight_array(), before[path] * masks[path]
        )
    for variable, value in zip(rest, values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert keras_snn.sparsity(model) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": None}, "compile the model, or pass `loss`.*not compiled"),
        ({"sparsity": 1.0}, r"`sparsity` must be in \[0, 1\)"),
        ({"sparsity": 0.2}, "at least that of the model"),
        ({"sparsity": 0.99}, "at least one weight of each tensor"),
        ({"rounds": 0}, "`rounds` must be an int >= 1"),
        ({"x": None}, r"must be one batch.*lengths \[0, 8\]"),
        ({"x": X[:, :3]}, r"hold what the model takes.*\(8, 3\).*\(None, 6\)"),
        ({"y": Y[:3]}, r"must be one batch.*lengths \[3, 8\]"),
        ({"y": Y * np.nan}, "NaN or infinite.*'first/kernel'"),
    ],
)
def test_nothing_changes_on_wrong_arguments(arguments, message):
    model = deep(sparsity=0.4)
    before = [np.array(v.numpy()) for v in model.variables]
    arguments = {"x": X, "y": Y, "sparsity": 0.6, "loss": "mse", **arguments}
    with pytest.raises(ValueError, match=message):
        force(model, **arguments)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
