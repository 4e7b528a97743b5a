"""Gradients of inactive weights, penalties and scores, by hand."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import MovementLayer
from keras_snn import MovementUpdate
from keras_snn import StraightThroughLayer
from keras_snn import TopKASTUpdate
from keras_snn import get_masks
from keras_snn.gradients.of_loss import loss_gradients
from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.mask_state import masked_weights
from keras_snn.schedules import DuringTraining

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")
PATH = "layer/kernel"


def linear(wrapper, sparsity=0.5, rate=0.1):
    keras.utils.set_random_seed(3)
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, use_bias=False, name="layer")]
    )
    model = keras_snn.sparsify(dense, sparsity, seed=3, wrapper=wrapper)
    optimizer = keras.optimizers.SGD(rate)
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


def by_hand(weight):
    return X.T @ (X @ weight - Y) * 2 / Y.size


def parts(model):
    masked = masked_weights(model)[PATH]
    return masked, masked.weight_array().copy(), masked.mask_array().copy()


@pytest.mark.parametrize("wrapper", [StraightThroughLayer, MovementLayer])
def test_the_forward_pass_is_that_of_the_masked_weights(wrapper):
    model = linear(wrapper)
    _, weight, mask = parts(model)
    assert weight.all() and not mask.all()  # Inactive weights keep values.
    outputs = model.predict_on_batch(X)
    np.testing.assert_allclose(outputs, X @ (weight * mask), atol=1e-6)
    plain = keras_snn.strip(model)
    np.testing.assert_array_equal(plain.layers[-1].kernel, weight * mask)
    np.testing.assert_allclose(plain.predict_on_batch(X), outputs, atol=1e-6)


def test_gradients_reach_what_the_backward_mask_holds():
    model = linear(StraightThroughLayer)
    masked, weight, mask = parts(model)
    backward = mask.copy()
    backward[0] = True
    masked.companion.assign(backward)
    (gradient,) = loss_gradients(model, [masked.weight], X, Y)
    expected = by_hand(weight * mask) * backward
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_the_penalty_by_hand():
    model = linear(StraightThroughLayer)
    masked, weight, mask = parts(model)
    before = float(model.evaluate(X, Y, verbose=0))
    backward = mask.copy()
    backward[0] = True
    masked.companion.assign(backward)
    (layer,) = masked_layers(model)
    layer.active_decay.assign(0.5)
    layer.inactive_decay.assign(2.0)
    explored = backward & ~mask
    penalty = 0.25 * (weight[mask] ** 2).sum() + (weight[explored] ** 2).sum()
    after = float(model.evaluate(X, Y, verbose=0))
    assert after - before == pytest.approx(penalty, rel=1e-4)
    gradient = by_hand(weight * mask) * backward
    gradient += 0.5 * weight * mask + 2 * weight * explored
    model.fit(X, Y, batch_size=8, verbose=0)
    np.testing.assert_allclose(
        masked.weight_array(), weight - 0.1 * gradient, atol=1e-5
    )


def test_top_kast_keeps_the_largest_and_trains_some_more():
    model = linear(StraightThroughLayer, sparsity=0.0)
    masked, weight, _ = parts(model)
    TopKASTUpdate(0.75, 0.5, distribution="uniform").update(model)
    order = np.argsort(-np.abs(weight), axis=None)
    active = np.flatnonzero(get_masks(model)[PATH])
    np.testing.assert_array_equal(active, np.sort(order[:3]))
    trained = np.flatnonzero(masked.companion_array())
    np.testing.assert_array_equal(trained, np.sort(order[:6]))
    np.testing.assert_array_equal(masked.weight_array(), weight)


def test_top_kast_trains_the_backward_weights_alone():
    model = linear(StraightThroughLayer, sparsity=0.0)
    masked, before, _ = parts(model)
    callback = TopKASTUpdate(0.75, 0.5, 100, distribution="uniform")
    model.fit(X, Y, batch_size=2, verbose=0, callbacks=[callback])
    moved = np.flatnonzero(masked.weight_array() != before)
    order = np.argsort(-np.abs(before), axis=None)
    np.testing.assert_array_equal(moved, np.sort(order[:6]))
    (layer,) = masked_layers(model)
    assert float(layer.active_decay) == float(layer.inactive_decay) == 0


def test_a_movement_score_falls_as_its_weight_moves_to_0():
    model = linear(MovementLayer, rate=0.1)
    masked, weight, mask = parts(model)
    model.fit(X, Y, batch_size=8, verbose=0)
    dense = by_hand(weight * mask)
    scores = masked.companion_array()
    np.testing.assert_allclose(scores, -0.1 * dense * weight, atol=1e-6)
    # Active weights are trained; inactive ones keep their value.
    np.testing.assert_allclose(
        masked.weight_array(), weight - 0.1 * dense * mask, atol=1e-6
    )


def test_movement_keeps_the_highest_scores_and_revives():
    model = linear(MovementLayer)
    masked, _, mask = parts(model)
    scores = np.arange(12.0).reshape(4, 3)
    scores[mask] -= 12  # What is active goes; 6 of 12 are.
    masked.companion.assign(scores)
    callback = MovementUpdate(DuringTraining(0.75))
    callback.update(model, 0.75)
    expected = np.argsort(scores, axis=None)[-3:]
    active = np.flatnonzero(get_masks(model)[PATH])
    np.testing.assert_array_equal(active, np.sort(expected))


@pytest.mark.parametrize(
    ("callback", "wrapper"),
    [
        (TopKASTUpdate(0.75, 0.5), "StraightThroughLayer"),
        (MovementUpdate(DuringTraining(0.75)), "MovementLayer"),
    ],
)
def test_another_wrapper_is_asked_for(callback, wrapper):
    model = linear(keras_snn.MaskedLayer)
    before = model.get_weights()
    message = f"wrapper={wrapper}.*'MaskedLayer'"
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, verbose=0, callbacks=[callback])
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1}, "`sparsity` must be in"),
        ({"backward_sparsity": 0.95}, "at most `sparsity`"),
        ({"interval": 0}, "`interval` must be"),
        ({"penalty": -1}, "`penalty` must be >= 0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TopKASTUpdate(
            **{"sparsity": 0.9, "backward_sparsity": 0.8, **arguments}
        )


@pytest.mark.parametrize("wrapper", [StraightThroughLayer, MovementLayer])
def test_what_grows_from_0_refuses_weights_that_are_not(wrapper):
    model = linear(wrapper)
    before = model.get_weights()
    with pytest.raises(ValueError, match="default wrapper"):
        model.fit(X, Y, verbose=0, callbacks=[keras_snn.SETUpdate()])
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
