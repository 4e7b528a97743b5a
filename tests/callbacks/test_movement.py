"""Movement pruning, hard and soft, against the authors' steps in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import MovementLayer
from keras_snn import MovementUpdate
from keras_snn import SoftMovementLayer
from keras_snn import SoftMovementUpdate
from keras_snn import get_masks
from keras_snn import schedules
from keras_snn.masking.mask_state import masked_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")
W = RNG.normal(size=(4, 3)).astype("float32")
RATE, DECAY = 0.1, 0.5


def linear(wrapper, decay=DECAY):
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, use_bias=False, name="layer")]
    )
    model = keras_snn.sparsify(dense, 0.0, wrapper=wrapper)
    dense.set_weights([W])
    optimizer = keras.optimizers.SGD(RATE, weight_decay=decay)
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


def fit(model, callback, epochs=6):
    model.fit(
        X,
        Y,
        batch_size=4,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    )
    (masked,) = masked_weights(model).values()
    return masked.weight_array(), masked.companion_array(), masked.mask_array()


def top(scores, density):
    """The authors' TopKBinarizer."""
    mask = np.zeros(scores.size, bool)
    order = np.argsort(-scores, axis=None, kind="stable")
    mask[order[: int(density * scores.size)]] = True
    return mask.reshape(scores.shape)


def above(scores, threshold):
    """The authors' ThresholdBinarizer, of a layer of less than 200 weights."""
    mask = 1 / (1 + np.exp(-scores)) > threshold
    return mask if mask.any() else scores == scores.max()


def trained(mask_at, penalty_at, steps=12):
    """Forward with the masks of the scores as they are; straight through."""
    weight, score = W.astype("float64"), np.zeros((4, 3))
    for step in range(steps):
        rows = slice(0, 4) if step % 2 == 0 else slice(4, 8)
        mask = mask_at(step, score)
        error = X[rows] @ (weight * mask) - Y[rows]
        gradient = X[rows].T @ error * 2 / error.size
        sigmoid = 1 / (1 + np.exp(-score))
        slope = penalty_at(step) * sigmoid * (1 - sigmoid) / score.size
        score = score - RATE * (gradient * weight + slope)
        weight = weight - RATE * DECAY * weight  # Not of the scores.
        weight = weight - RATE * gradient * mask
    return weight, score, mask_at(steps, score)


def test_movement_pruning_step_by_step():
    schedule = schedules.PolynomialDecay(0, 0.75, 1, 4, power=1, frequency=1)

    def mask_at(step, score):
        share = min(max(step - 1, 0) / 3, 1)
        return top(score, 1 - 0.75 * share)

    expected = trained(mask_at, lambda step: 0)
    found = fit(linear(MovementLayer), MovementUpdate(schedule, scope="layer"))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_soft_movement_pruning_step_by_step():
    schedule = schedules.PolynomialDecay(0, 0.45, 1, 5, frequency=1)

    def threshold(step):
        share = min(max(step - 1, 0) / 4, 1)
        return 0.45 + (0 - 0.45) * (1 - share) ** 3

    expected = trained(
        lambda step, score: above(score, threshold(step)),
        lambda step: 20 * threshold(step) / 0.45,
    )
    found = fit(
        linear(SoftMovementLayer), SoftMovementUpdate(schedule, penalty=20)
    )
    assert 0 < expected[2].sum() < 12
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_masks_follow_the_scores_behind_the_schedules_end():
    schedule = schedules.PolynomialDecay(0, 0.75, 1, 4, frequency=3)
    for scope in ("global", "layer"):
        model = linear(MovementLayer)
        callback = MovementUpdate(schedule, scope=scope)
        _, score, mask = fit(model, callback, epochs=10)
        np.testing.assert_array_equal(mask, top(score, 0.25))


def test_averages_in_place_of_the_scores_get_their_masks():
    model = linear(MovementLayer)
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, "mse", run_eagerly=True)
    schedule = schedules.ConstantSparsity(0.75, 0, frequency=1)
    _, score, mask = fit(model, MovementUpdate(schedule))
    np.testing.assert_array_equal(mask, top(score, 0.25))


def test_scores_are_not_decayed_in_a_step_that_is_traced_already():
    model = linear(MovementLayer)
    model.compile(
        keras.optimizers.AdamW(0.1, weight_decay=0.5), "mse", jit_compile=False
    )
    zeros = np.zeros_like(X), np.zeros_like(Y)  # No gradient at all.
    model.fit(*zeros, batch_size=8, verbose=0)
    (masked,) = masked_weights(model).values()
    masked.companion.assign(np.full((4, 3), 5.0))
    before = masked.weight_array().copy()
    schedule = schedules.ConstantSparsity(0.5, 0)
    callback = MovementUpdate(schedule)
    model.fit(*zeros, batch_size=8, verbose=0, callbacks=[callback])
    np.testing.assert_array_equal(masked.companion_array(), 5.0)
    np.testing.assert_allclose(masked.weight_array(), before * 0.95, rtol=1e-5)


def test_what_a_user_excluded_from_weight_decay_stays_so():
    model = two_layers(MovementLayer)
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
    model.compile(optimizer, "mse", run_eagerly=True)
    first, last = (m.weight for m in masked_weights(model).values())
    optimizer.exclude_from_weight_decay([first])
    before = first.numpy(), last.numpy()
    zeros = np.zeros((8, 20)), np.zeros((8, 10))
    callback = MovementUpdate(schedules.ConstantSparsity(0.5, 0))
    model.fit(*zeros, verbose=0, callbacks=[callback])
    np.testing.assert_array_equal(first.numpy(), before[0])
    np.testing.assert_allclose(last.numpy(), before[1] * 0.95, rtol=1e-5)


def two_layers(wrapper):
    dense = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(30, name="first"),
            layers.Dense(10, name="last"),
        ]
    )
    return keras_snn.sparsify(dense, 0.0, wrapper=wrapper)


def test_equal_scores_are_told_apart_by_magnitude():
    model = two_layers(MovementLayer)
    schedule = schedules.ConstantSparsity(0.5, 0)
    MovementUpdate(schedule).update(model, 0.5)
    masks = get_masks(model)
    keras_snn.set_masks(model, {p: m | True for p, m in masks.items()})
    for path, mask in keras_snn.prune_magnitude(model, 0.5).items():
        np.testing.assert_array_equal(masks[path], mask)


@pytest.mark.parametrize("score", [0.0, -1.0, 1.0, 3e-39, -1e30, 0.7])
def test_a_weight_tells_only_equal_scores_apart(score):
    model = linear(MovementLayer)
    (path, masked), *_ = masked_weights(model).items()
    score = np.full((4, 3), score, "float32")
    score[:2] = np.nextafter(score[:2], np.float32(np.inf))
    masked.companion.assign(score)
    stored = masked.companion_array()
    magnitude = np.abs(masked.weight_array())
    found = MovementUpdate(schedules.ConstantSparsity(0.5, 0)).scores(
        {path: masked}
    )[path]
    order = np.lexsort((magnitude.ravel(), stored.ravel()))
    np.testing.assert_array_equal(np.argsort(found, axis=None), order)


def test_a_layer_keeps_some_weights_whatever_the_threshold():
    model = two_layers(SoftMovementLayer)
    weights = masked_weights(model)
    for masked in weights.values():
        masked.companion.assign(
            RNG.normal(-50, 1, masked.weight.shape).astype("float32")
        )
    callback = SoftMovementUpdate(schedules.ConstantSparsity(0.1, 0), penalty=1)
    callback.update(model, 0.1)
    for path, least in (("first/kernel", 4), ("last/kernel", 2)):
        mask = weights[path].mask_array()
        score = weights[path].companion_array()
        assert mask.sum() == least
        assert score[mask].min() > score[~mask].max()


def test_the_penalty_is_the_mean_over_layers():
    model = two_layers(SoftMovementLayer)
    model.compile("sgd", "mse", run_eagerly=True)
    weights = masked_weights(model)
    x, y = np.ones((2, 20)), np.ones((2, 10))
    before = model.evaluate(x, y, verbose=0)
    shares = []
    for masked in weights.values():
        score = RNG.normal(size=masked.weight.shape)
        masked.companion.assign(score)
        shares.append((1 / (1 + np.exp(-score))).mean())
    (layer,) = keras_snn.masking.mask_state.masked_layers(model)
    layer.score_decay.assign(3.0)
    after = model.evaluate(x, y, verbose=0)
    assert after - before == pytest.approx(3 * np.mean(shares), rel=1e-4)


def test_wrong_arguments():
    schedule = schedules.ConstantSparsity(0.1, 0)
    with pytest.raises(ValueError, match="`penalty` must be >= 0"):
        SoftMovementUpdate(schedule, penalty=-1)
    with pytest.raises(TypeError, match="`schedule` must be"):
        SoftMovementUpdate(0.1, penalty=1)
    model = linear(MovementLayer)
    with pytest.raises(ValueError, match="wrapper=SoftMovementLayer"):
        fit(model, SoftMovementUpdate(schedule, penalty=1))
    with pytest.raises(ValueError, match=r"`threshold` must be in \[0, 1\)"):
        SoftMovementUpdate(schedule, penalty=1).update(
            linear(SoftMovementLayer), 1.0
        )
    with pytest.raises(ValueError, match="`scope` must be one of"):
        MovementUpdate(schedule, scope="lamp")
