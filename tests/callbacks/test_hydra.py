"""HYDRA, against the authors' steps in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import HYDRALayer
from keras_snn import HYDRAUpdate
from keras_snn import get_masks
from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.masking.mask_state import masked_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")
W = RNG.normal(size=(4, 3)).astype("float32")
B = RNG.normal(size=3).astype("float32")
ON_JAX = keras.backend.backend() == "jax"
RATE, DECAY = 0.1, 0.5


def linear():
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="layer")])
    dense.set_weights([W, B])
    model = keras_snn.sparsify(dense, 0.0, wrapper=HYDRALayer)
    optimizer = keras.optimizers.SGD(RATE, momentum=0.9, weight_decay=DECAY)
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


def get_subnet(scores, k):
    """hydra, models/layers.py, `GetSubnet.forward`."""
    mask = np.ones(scores.size, bool)
    order = np.argsort(scores, axis=None)
    mask[order[: int((1 - k) * scores.size)]] = False
    return mask.reshape(scores.shape)


def test_step_by_step():
    """Of `initialize_scaled_score`, `SubnetLinear` and PyTorch's SGD."""
    score = np.sqrt(6 / 4) * W.astype("float64") / np.abs(W).max()
    first, velocity = get_subnet(np.abs(score), 0.25), 0.0
    for step in range(12):
        rows = slice(0, 4) if step % 2 == 0 else slice(4, 8)
        mask = get_subnet(np.abs(score), 0.25)
        error = X[rows] @ (W * mask) + B - Y[rows]
        gradient = X[rows].T @ error * 2 / error.size * W * np.sign(score)
        score = score - RATE * DECAY * score  # Keras decays before it steps.
        velocity = 0.9 * velocity - RATE * gradient
        score = score + velocity
    model = linear()
    model.fit(
        X,
        Y,
        batch_size=4,
        epochs=6,
        shuffle=False,
        verbose=0,
        callbacks=[HYDRAUpdate(0.75)],
    )
    (masked,) = masked_weights(model).values()
    np.testing.assert_allclose(masked.companion_array(), score, atol=1e-5)
    mask = get_subnet(np.abs(score), 0.25)
    assert (mask != first).any()
    np.testing.assert_array_equal(masked.mask_array(), mask)
    np.testing.assert_array_equal(masked.weight_array(), W)
    np.testing.assert_array_equal(model.layers[-1].layer.layers[-1].bias, B)


def test_scores_of_a_convolution_start_with_its_fan_in():
    dense = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(6, 3)])
    model = keras_snn.sparsify(dense, 0.0, wrapper=HYDRALayer)
    (masked,) = masked_weights(model).values()
    weight = masked.weight_array()
    expected = np.sqrt(6 / 36) * weight / np.abs(weight).max()
    np.testing.assert_allclose(masked.companion_array(), expected, rtol=1e-5)


def test_robust_pruning_and_then_fine_tuning():
    x, y = RNG.uniform(size=(16, 6)), np.arange(16) % 4
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(20),
            layers.BatchNormalization(),
            layers.Dense(4),
        ]
    )
    first, norm, last = plain.layers
    last.trainable = False  # By the user, and so it stays.
    before = [w.numpy() for w in (*first.weights, norm.gamma, *last.weights)]

    def fit(model, *callbacks):
        robust = AdversarialModel(model, PGD(0.1, 0.1, 1))
        optimizer = keras.optimizers.Adam(0.05)
        robust.compile(optimizer, loss, jit_compile=ON_JAX)
        options = {"batch_size": 8, "epochs": 2, "verbose": 0}
        robust.fit(x, y, **options, callbacks=list(callbacks))
        return [w.numpy() for w in (*first.weights, norm.gamma, *last.weights)]

    model = keras_snn.sparsify(plain, 0.0, wrapper=HYDRALayer)
    after = fit(model, HYDRAUpdate(0.8))
    changed = [(a != b).any() for a, b in zip(before, after, strict=True)]
    assert changed == [False, False, True, False, False]
    masks = get_masks(model)
    assert [int(mask.sum()) for mask in masks.values()] == [24, 16]

    assert keras_snn.strip(model) is plain
    model = keras_snn.sparsify(plain, 0.0)
    keras_snn.set_masks(model, masks)
    tuned = fit(model)
    changed = [(a != b).any() for a, b in zip(after, tuned, strict=True)]
    assert changed == [True, True, True, True, False]  # Zeros are baked in.
    for weight, mask in zip((tuned[0], tuned[3]), masks.values(), strict=True):
        np.testing.assert_array_equal(weight != 0, mask)
    np.testing.assert_array_equal(tuned[3], before[3] * [*masks.values()][1])


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`interval` must be"):
        HYDRAUpdate(0.5, interval=0)
    with pytest.raises(ValueError, match="sparsity` must be in"):
        HYDRAUpdate(1.0)
    with pytest.raises(ValueError, match="`scope` must be one of"):
        HYDRAUpdate(0.5, scope="lamp")
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="wrapper=HYDRALayer"):
        HYDRAUpdate(0.5).update(keras_snn.sparsify(dense, 0.0), 0.5)
