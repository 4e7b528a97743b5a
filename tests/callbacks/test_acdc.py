"""AC/DC: its phases, and what comes back in them."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import ACDCUpdate
from keras_snn.masking.mask_state import masked_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")


def model_of():
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, name="a"), layers.Dense(3)]
    )
    model = keras_snn.sparsify(dense, 0.0)
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def test_phases_alternate_and_the_last_is_compressed():
    callback = ACDCUpdate(0.6, 2, begin=0.1, end=0.8)
    phases = "".join("ds"[callback.compresses(e, 10)] for e in range(10))
    assert phases == "dssddssdss"
    history = model_of().fit(X, Y, epochs=10, verbose=0, callbacks=[callback])
    sparsities = np.array(history.history["sparsity"])
    expected = [0.6 if phase == "s" else 0.0 for phase in phases]
    np.testing.assert_allclose(sparsities, expected, atol=0.02)


def test_decompression_brings_weights_back_from_0():
    model = model_of()
    callback = ACDCUpdate(0.6)
    kernel = masked_weights(model)["a/kernel"]
    before = kernel.weight_array().copy()
    callback.update(model, True)
    mask = kernel.mask_array().copy()
    callback.update(model, False)
    assert kernel.mask_array().all()
    np.testing.assert_array_equal(kernel.weight_array(), before * mask)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1.0}, "`sparsity` must be in"),
        ({"interval": 0}, "`interval` must be"),
        ({"begin": 0.8}, "0 <= begin <= end < 1.*begin=0.8"),
        ({"end": 1}, "0 <= begin <= end < 1.*end=1"),
        ({"scope": "all"}, "`scope` must be one of"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ACDCUpdate(**{"sparsity": 0.9, **arguments})


def test_a_training_that_would_end_dense():
    with pytest.raises(ValueError, match="`end`.*end=0.75 and 2 epochs"):
        model_of().fit(X, Y, epochs=2, verbose=0, callbacks=[ACDCUpdate(0.6)])
