"""The variance of a unit's weights is that of its own active inputs."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import masked_weights
from keras_snn import reinitialize
from keras_snn import sparsify


def every_kind():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(6, 3, name="conv")(inputs)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Conv2DTranspose(5, 2, name="transposed")(x)
    x = layers.Reshape((25, 5))(x)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.LSTM(7, name="lstm")(x)
    return keras.Model(inputs, layers.Dense(3, name="dense")(x))


def unit_scaled(mask, draws, scale, axes):
    """The published `unit_scaled_init`, weight by weight."""
    weights = np.zeros(mask.shape)
    for index in np.argwhere(mask):
        own = [slice(None) if a in axes else i for a, i in enumerate(index)]
        fan_in = max(1.0, mask[tuple(own)].sum())
        weights[tuple(index)] = draws[tuple(index)] * np.sqrt(scale / fan_in)
    return weights


AXES = {
    "conv/kernel": (0, 1, 2),
    "depthwise/kernel": (0, 1),
    "transposed/kernel": (0, 1, 3),
    "attention/query/kernel": (0,),
    "attention/attention_output/kernel": (0, 1),
    "lstm/lstm_cell/kernel": (0,),
    "lstm/lstm_cell/recurrent_kernel": (0,),
    "dense/kernel": (0,),
}


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.usefixtures("drawn_by_numpy")
def test_every_layer_kind_is_the_published_formula(distribution):
    model = sparsify(every_kind(), 0.6, "uniform", include="depthwise")
    rest = [v for v in model.variables if "bias" in v.path]
    before = [np.array(v.numpy()) for v in rest]
    reinitialize(model, scale=1.5, distribution=distribution, seed=3)
    for path, masked in masked_weights(model).items():
        if path not in AXES:
            assert path.startswith("attention/")
            continue
        mask = masked.mask_array()
        (rng,) = np.random.default_rng([3, 0, masked.index]).spawn(1)
        draws = (
            rng.standard_normal(mask.shape)
            if distribution == "normal"
            else rng.uniform(-np.sqrt(3), np.sqrt(3), mask.shape)
        )
        np.testing.assert_allclose(
            masked.weight_array(),
            unit_scaled(mask, draws, 1.5, AXES[path]),
            rtol=1e-6,
        )
    for variable, value in zip(rest, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def wide(sparsity, **options):
    dense = keras.Sequential(
        [
            keras.Input((400,)),
            layers.Dense(300, activation="relu", name="a"),
            layers.Dense(200, activation="relu", name="b"),
        ]
    )
    return sparsify(dense, sparsity, **options)


def test_activations_keep_their_scale_however_sparse():
    x = np.random.default_rng(0).normal(size=(64, 400)).astype("float32")
    energies = []
    for sparsity in (0.0, 0.95):
        model = wide(sparsity)
        reinitialize(model)
        energies.append(np.mean(ops.convert_to_numpy(model(x)) ** 2))
    assert energies == pytest.approx([1, 1], rel=0.15)
    plain = ops.convert_to_numpy(wide(0.95)(x))
    assert np.mean(plain**2) < 0.05


def test_a_seed_draws_the_same_at_any_sparsity_but_for_the_scale():
    drawn = []
    for sparsity in (0.0, 0.5):
        model = wide(sparsity)
        reinitialize(model, seed=7)
        masked = masked_weights(model)["a/kernel"]
        mask = masked.mask_array().copy()
        drawn.append(masked.weight_array() * np.sqrt(mask.sum(0)))
    np.testing.assert_allclose(drawn[1], drawn[0] * mask, rtol=1e-5)
    other = wide(0.5)
    reinitialize(other, seed=8)
    again = masked_weights(other)["a/kernel"].weight_array()
    assert (again[mask] != masked.weight_array()[mask]).all()


def test_what_is_stored_outside_the_mask_stays():
    model = wide(0.5, wrapper=keras_snn.StraightThroughLayer)
    masked = masked_weights(model)["a/kernel"]
    before, mask = masked.weight_array().copy(), masked.mask_array().copy()
    reinitialize(model)
    after = masked.weight_array()
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert (after[mask] != before[mask]).all()


def test_embeddings_stay():
    dense = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(9, 4, name="words"),
            layers.Dense(3, name="head"),
        ]
    )
    model = sparsify(dense, 0.5, include="words")
    weights = masked_weights(model)
    before = {p: m.weight_array().copy() for p, m in weights.items()}
    reinitialize(model)
    for path, masked in weights.items():
        same = (masked.weight_array() == before[path])[masked.mask_array()]
        assert same.all() if "words" in path else not same.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "`scale` must be a number > 0.*scale=0"),
        ({"scale": np.nan}, "`scale` must be a number > 0.*nan"),
        ({"distribution": "he"}, "`distribution` must be one of.*'he'"),
        ({"seed": -1}, "`seed` must be an int >= 0"),
    ],
)
def test_nothing_changes_on_wrong_arguments(arguments, message):
    model = wide(0.5)
    before = masked_weights(model)["a/kernel"].weight_array().copy()
    with pytest.raises(ValueError, match=message):
        reinitialize(model, **arguments)
    np.testing.assert_array_equal(
        masked_weights(model)["a/kernel"].weight_array(), before
    )
