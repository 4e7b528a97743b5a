"""What layers inside the masks take and give."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


def model_of():
    plain = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu", name="first"),
            layers.Dense(3, name="last"),
        ]
    )
    return keras_snn.sparsify(plain, 0.5)


def test_activations_are_those_of_the_masked_weights():
    model = model_of()
    masked = keras_snn.masked_weights(model)["first/kernel"]
    seen = keras_snn.activations(model, ["first", "last"], X)
    inputs, hidden = seen["first"]
    np.testing.assert_array_equal(inputs, X)
    expected = np.maximum(X @ masked.weight_array(), 0)
    np.testing.assert_allclose(hidden, expected, atol=1e-6)
    np.testing.assert_array_equal(seen["last"][0], hidden)
    outputs = model.predict(X, verbose=0)
    np.testing.assert_allclose(seen["last"][1], outputs, atol=1e-6)
    assert "call" not in vars(masked.owner.layer)


def test_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="'middle', the name of 0 layers"):
        keras_snn.activations(model_of(), ["first", "middle"], X)
