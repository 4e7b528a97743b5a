"""Random pruning: exact counts, drawn anew, the same on every backend."""

import hashlib

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import get_masks
from keras_snn import prune_random
from keras_snn.masking.mask_state import masked_weights


def model_of(sparsity=0.0, seed=0):
    dense = keras.Sequential(
        [keras.Input((20,)), layers.Dense(30), layers.Dense(10)]
    )
    return keras_snn.sparsify(dense, sparsity, seed=seed)


def bits(masks):
    return np.concatenate([mask.ravel() for mask in masks.values()])


@pytest.mark.parametrize("distribution", ["erk", "erdos_renyi", "uniform"])
def test_it_draws_the_masks_of_sparsify(distribution):
    model = model_of()
    masks = prune_random(model, 0.8, distribution=distribution, seed=5)
    dense = keras_snn.strip(model_of())
    drawn = keras_snn.sparsify(dense, 0.8, distribution, seed=5)
    np.testing.assert_array_equal(bits(masks), bits(get_masks(drawn)))
    np.testing.assert_array_equal(bits(masks), bits(get_masks(model)))
    assert keras_snn.sparsity(model) == pytest.approx(0.8)


def test_bits_are_those_of_every_backend_and_release():
    masks = prune_random(model_of(), 0.8, seed=5)
    digest = hashlib.sha256(np.packbits(bits(masks)).tobytes()).hexdigest()
    assert digest[:16] == "7ce5029bb1b7a356"


def test_masks_are_drawn_anew_and_weights_grown_from_zero():
    model = model_of(0.8)
    before = get_masks(model)
    after = prune_random(model, 0.3, seed=1)
    for path, mask in after.items():
        kernel = masked_weights(model)[path].weight_array()
        assert not kernel[~(mask & before[path])].any()
        assert kernel[mask & before[path]].all()
        assert (before[path] & ~mask).any()
    assert keras_snn.sparsity(model) == pytest.approx(0.3)


def test_draws_are_uniform():
    """Each position is active as often as the density says."""
    model = model_of()
    share = np.mean(
        [
            prune_random(model, 0.5, distribution="uniform", seed=s)[
                list(get_masks(model))[1]
            ]
            for s in range(200)
        ],
        axis=0,
    )
    assert np.abs(share - 0.5).max() < 5 * 0.5 / 200**0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1}, r"`sparsity` must be in \[0, 1\)"),
        ({"sparsity": 0.5, "seed": -1}, "`seed` must be an int >= 0.*-1"),
        ({"sparsity": 0.5, "distribution": "x"}, "`distribution` must be.*'x'"),
        ({"sparsity": 0.999, "distribution": "uniform"}, "at least one weight"),
    ],
)
def test_nothing_changes_on_wrong_arguments(arguments, message):
    model = model_of(0.4)
    before = [w.numpy() for w in model.weights]
    with pytest.raises(ValueError, match=message):
        prune_random(model, **arguments)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_a_model_without_masks():
    dense = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="keras_snn.sparsify"):
        prune_random(dense, 0.5)
