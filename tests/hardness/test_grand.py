import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn.hardness import grand

LOGITS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def linear(activation=None, loss=LOGITS_LOSS):
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(4, activation=activation)]
    )
    model.compile("sgd", loss)
    return model


def test_linear_model_by_hand(data):
    """By weights x (p - y), by biases p - y: norms multiply."""
    x, y = data
    model = linear()
    kernel, bias = model.get_weights()
    errors = np.linalg.norm(softmax(x @ kernel + bias) - np.eye(4)[y], axis=1)
    expected = errors * np.sqrt(1 + np.square(x).sum(axis=1))
    scores = grand(model, x, y)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
    np.testing.assert_allclose(grand(model, x, np.eye(4)[y]), scores, rtol=1e-5)


def test_probabilities(data):
    x, y = data
    logits, model = linear(), linear("softmax", "categorical_crossentropy")
    model.set_weights(logits.get_weights())
    np.testing.assert_allclose(
        grand(model, x, y), grand(logits, x, y), rtol=1e-3
    )


def test_each_sample_alone_and_nothing_changes(model, data):
    x, y = data[0][:5], data[1][:5]
    before = [np.array(v) for v in model.get_weights()]
    scores = grand(model, x, y)
    for i in range(5):
        one = grand(model, x[i : i + 1], y[i : i + 1])
        np.testing.assert_allclose(one, scores[i : i + 1], rtol=1e-5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_masked_weights_have_no_gradient(data):
    x, y = data
    x[:, 1] = 1
    model = linear()
    sparse = keras_snn.sparsify(model, 0.0)
    mask = np.ones((2, 4), bool)
    mask[1] = False
    (path,) = keras_snn.get_masks(sparse)
    keras_snn.set_masks(sparse, {path: mask})
    kernel, bias = model.get_weights()
    errors = np.linalg.norm(softmax(x @ kernel + bias) - np.eye(4)[y], axis=1)
    expected = errors * np.sqrt(1 + np.square(x[:, 0]))
    scores = grand(sparse, x, y, from_logits=True)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_averages_models(data):
    x, y = data[0][:4], data[1][:4]
    models = [linear(), linear()]
    mean = np.mean([grand(m, x, y) for m in models], axis=0)
    np.testing.assert_allclose(grand(models, x, y), mean, rtol=1e-6)


def test_bad_input(model, data):
    x, y = data
    with pytest.raises(ValueError, match="60 samples and 59 labels"):
        grand(model, x, y[:-1])
    with pytest.raises(ValueError, match="whole numbers"):
        grand(model, x, y + 1)
    with pytest.raises(ValueError, match="pass `from_logits`"):
        grand(linear(loss="mse"), x, y)
    x[3] = np.nan
    with pytest.raises(ValueError, match="for 1 of 5 samples.*index 3"):
        grand(model, x[:5], y[:5])
