"""AC/DC: its phases, and what comes back in them."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import ACDCUpdate
from keras_snn.masking import keras_private
from keras_snn.masking.mask_state import masked_weights
from keras_snn.patterns import Blocks
from keras_snn.patterns import ConstantFanIn

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


def test_steps_by_the_authors_formulas():
    """A dense epoch, two compressed, one decompressed, one compressed."""
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="a")])
    model = keras_snn.sparsify(dense, 0.0)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "mse", run_eagerly=True)
    masked = masked_weights(model)["a/kernel"]
    weight, bias = masked.weight_array().astype("float64"), np.zeros(3)
    mask, of_weight, of_bias = np.ones((4, 3)), 0, 0
    for epoch in range(5):
        if epoch in (1, 4):  # UnstructuredMagnitudePruner
            stat = (np.abs(weight) + 1e-4) * mask
            mask = stat > np.sort(stat, axis=None)[5]
            weight, of_weight = weight * mask, of_weight * mask
        if epoch == 3:  # RestoreWeights, --reset_momentum_after_recycling
            mask, of_weight, of_bias = np.ones((4, 3)), 0, 0
        error = (X @ weight + bias - Y) * 2 / Y.size
        of_weight = 0.9 * of_weight + X.T @ error * mask
        of_bias = 0.9 * of_bias + error.sum(axis=0)
        weight, bias = weight - 0.1 * of_weight, bias - 0.1 * of_bias
    callback = ACDCUpdate(0.5, phases=[1, 3, 4])
    history = model.fit(
        X, Y, batch_size=8, epochs=5, verbose=0, callbacks=[callback]
    )
    assert history.history["sparsity"] == [0, 0.5, 0.5, 0, 0.5]
    np.testing.assert_array_equal(masked.mask_array(), mask)
    np.testing.assert_allclose(masked.weight_array(), weight, atol=1e-5)
    np.testing.assert_allclose(
        model.get_layer("a").bias.numpy(), bias, atol=1e-5
    )


@pytest.mark.parametrize("reset", [True, False])
def test_what_decompression_resets(reset):
    model = model_of()
    optimizer = keras.optimizers.Adam(0.1, use_ema=True)
    model.compile(optimizer, "mse", run_eagerly=True)
    callback = ACDCUpdate(0.6, reset_momentum=reset)
    callback.update(model, True)
    model.fit(X, Y, verbose=0)
    bias = model.get_layer("a").bias
    slots = [s for s, _ in keras_private.slots(optimizer, bias)]
    before = [slot.numpy() for slot in slots]
    assert all(value.any() for value in before) and len(before) == 3
    callback.update(model, False)
    for slot, value in zip(slots, before, strict=True):
        stays = (
            not reset
            or "momentum" not in slot.path
            and ("velocity" not in slot.path)
        )
        np.testing.assert_array_equal(slot.numpy(), value if stays else 0)
    assert int(optimizer.iterations) == 1


def test_the_phases_of_the_authors_on_imagenet():
    callback = ACDCUpdate(0.9, phases=[*range(10, 76, 5), 85])
    phases = [callback.compresses(epoch, 100) for epoch in range(100)]
    starts = [e for e in range(1, 100) if phases[e] != phases[e - 1]]
    assert not any(phases[:10]) and all(phases[85:])
    assert not any(phases[75:85]) and all(phases[70:75])
    assert starts == [*range(10, 76, 5), 85]


@pytest.mark.parametrize(
    ("sparsity", "pattern"),
    [(0.5, "2:4"), (0.5, ConstantFanIn()), (0.5, Blocks((1, 5)))],
    ids=str,
)
def test_compressed_phases_have_the_pattern(sparsity, pattern):
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5), layers.Dense(3, name="last")]
    )
    model = keras_snn.sparsify(dense, 0.0, exclude="last")
    model.compile("sgd", "mse", run_eagerly=True)
    callback = ACDCUpdate(sparsity, phases=[1, 2, 3], pattern=pattern)
    history = model.fit(X, Y, epochs=4, verbose=0, callbacks=[callback])
    np.testing.assert_allclose(history.history["sparsity"], [0, 0.5, 0, 0.5])
    (masked,) = masked_weights(model).values()
    keras_snn.patterns.get(pattern).check(masked.mask_array())


def test_phases_behind_the_end_of_training():
    callback = ACDCUpdate(0.6, phases=[1, 2, 3])
    with pytest.raises(ValueError, match="`phases` must hold.*3 epochs"):
        model_of().fit(X, Y, epochs=3, verbose=0, callbacks=[callback])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"phases": [1, 2]}, "odd number of epochs.*phases=.1, 2."),
        ({"phases": [3, 2, 5]}, "in rising order"),
        ({"phases": []}, "odd number"),
        ({"phases": [0.5]}, "`phases.0.` must be an int >= 0"),
        ({"pattern": "2:4"}, "of its own, 0.5"),
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
