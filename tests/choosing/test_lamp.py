"""LAMP's scores by hand, and the masks that they give."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

import keras_snn
from keras_snn import prune_magnitude
from keras_snn.choosing.lamp import lamp
from keras_snn.masking.mask_state import masked_weights

A = np.array([[0.1, -0.2, 0.3], [-0.6, 0.05, 0.8]], "float32")
B = np.array([[-0.9, 0.5], [0.7, 0.4], [0.2, -0.55]], "float32")


def model_of(a=A, b=B):
    dense = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, use_bias=False, name="a"),
            layers.Dense(2, use_bias=False, name="b"),
        ]
    )
    dense.set_weights([a, b])
    return keras_snn.sparsify(dense, 0.0)


@pytest.mark.once
def test_scores_by_hand():
    scores = lamp(np.array([[3.0, 1.0], [0.0, 2.0]]), np.ones((2, 2), bool))
    expected = [[1, 1 / 14], [0, 4 / 13]]
    np.testing.assert_allclose(scores, expected)


@pytest.mark.once
def test_of_equal_weights_the_first_stays_and_inactive_ones_count_nothing():
    active = np.array([True, True, False, True])
    scores = lamp(np.array([2.0, 2.0, 9.0, 0.0]), active)
    np.testing.assert_allclose(scores, [1, 1 / 2, 0, 0])
    zeros = np.zeros((3,))
    np.testing.assert_array_equal(lamp(zeros, np.ones(3, bool)), zeros)


@pytest.mark.once
@given(
    st.lists(
        st.floats(0, 100, width=32).filter(lambda v: v == 0 or v > 1e-3),
        min_size=1,
        max_size=20,
    )
)
def test_scores_are_those_of_the_definition_and_keep_the_order(values):
    values = np.array(values)
    scores = lamp(values, np.ones(len(values), bool))
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    for rank, i in enumerate(order):
        total = sum(values[j] ** 2 for j in order[: rank + 1])
        expected = values[i] ** 2 / total if total else 0
        assert scores[i] == pytest.approx(expected)
    assert (np.diff(scores[order]) <= 0).all()


def test_one_threshold_for_scores_of_all_layers():
    masks = prune_magnitude(model_of(), 0.5, scope="lamp")
    scores = {
        path: lamp(np.abs(w), np.ones(w.shape, bool))
        for path, w in (("a/kernel", A), ("b/kernel", B))
    }
    joined = np.concatenate([s.ravel() for s in scores.values()])
    threshold = np.sort(joined)[-6]
    for path, mask in masks.items():
        np.testing.assert_array_equal(mask, scores[path] >= threshold)


def test_the_scale_of_a_layer_changes_nothing():
    """Where a global threshold would leave it one weight."""
    masks = prune_magnitude(model_of(), 0.5, scope="lamp")
    scaled = prune_magnitude(model_of(A / 1024), 0.5, scope="lamp")
    for path, mask in masks.items():
        np.testing.assert_array_equal(scaled[path], mask)
    globally = prune_magnitude(model_of(A / 1024), 0.5)
    assert globally["a/kernel"].sum() == 1


def test_within_a_layer_the_largest_stay_in_rounds():
    keras.utils.set_random_seed(1)
    dense = keras.Sequential(
        [keras.Input((20,)), layers.Dense(30), layers.Dense(10)]
    )
    model = keras_snn.sparsify(dense, 0.0)
    for sparsity in (0.3, 0.6, 0.9):
        before = {
            p: m.weight_array().copy() for p, m in masked_weights(model).items()
        }
        masks = prune_magnitude(model, sparsity, scope="lamp")
        for path, mask in masks.items():
            weight = np.abs(before[path])
            assert weight[mask].min() >= weight[~mask].max()
        assert keras_snn.sparsity(model) == pytest.approx(sparsity, abs=1e-3)


def test_what_it_refuses():
    model = model_of()
    with pytest.raises(ValueError, match="takes no distribution.*'erk'"):
        prune_magnitude(model, 0.5, scope="lamp", distribution="erk")
    with pytest.raises(ValueError, match="`scope` must be one of"):
        keras_snn.MovementUpdate(
            keras_snn.schedules.ConstantSparsity(0.5, 0), scope="lamp"
        )
    kernel = masked_weights(model)["b/kernel"].weight
    kernel.assign(np.where(B == B.max(), np.nan, B))
    with pytest.raises(ValueError, match="NaN or infinite.*'b/kernel'"):
        prune_magnitude(model, 0.5, scope="lamp")
    assert keras_snn.sparsity(model) == 0
