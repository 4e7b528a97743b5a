import functools
import timeit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_snn.arithmetic import masks

pytestmark = pytest.mark.once

shapes = hnp.array_shapes(min_dims=1, max_dims=4, max_side=6)
# Few distinct values, so that ties are the rule.
scores = hnp.arrays(np.float32, shapes, elements=st.integers(-3, 3))


def seeds():
    return st.integers(0, 2**31)


def test_top_k_breaks_ties_by_index():
    kept = masks.top_k(np.array([1.0, 2, 2, 2, 0]), 2)
    assert kept.tolist() == [False, True, True, False, False]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.97])
@pytest.mark.parametrize("low", [-50, 0])
def test_top_k_of_many_is_a_stable_sort(dtype, zeros, low):
    rng = np.random.default_rng(1)
    values = rng.integers(low, 1000, 20_000).astype(dtype)
    values[rng.random(len(values)) < zeros] = 0
    order = np.argsort(-values.astype("float64"), kind="stable")
    for k in (0, 1, 7, 500, 9_999, 10_000, 19_400, 19_999, 20_000):
        expected = np.zeros(len(values), bool)
        expected[order[:k]] = True
        np.testing.assert_array_equal(masks.top_k(values, k), expected)


def test_ties_take_no_longer():
    """np.partition took 16 times as long, most gradients being 0."""
    rng = np.random.default_rng(0)
    untied = rng.random(300_000)
    tied = np.where(rng.random(300_000) < 0.9, 0, untied)

    def seconds(scores):
        run = functools.partial(masks.top_k, scores, 1_500)
        return min(timeit.repeat(run, number=1, repeat=10))

    assert seconds(tied) < 5 * seconds(untied)


@given(scores, st.data())
def test_top_k_is_exact_and_keeps_the_highest(values, data):
    k = data.draw(st.integers(0, values.size))
    kept = masks.top_k(values, k)
    assert kept.shape == values.shape and kept.dtype == bool
    assert kept.sum() == k
    if 0 < k < values.size:
        assert values[kept].min() >= values[~kept].max()


@given(scores, st.data())
def test_top_k_chooses_among_candidates_only(values, data):
    among = data.draw(hnp.arrays(bool, values.shape))
    k = data.draw(st.integers(0, int(among.sum())))
    kept = masks.top_k(values, k, among=among)
    assert kept.sum() == k and not (kept & ~among).any()


@given(st.lists(scores, min_size=1, max_size=4), st.data())
def test_global_top_k_is_exact_and_empties_no_tensor(tensors, data):
    named = {str(i): t for i, t in enumerate(tensors)}
    size = sum(t.size for t in tensors)
    k = data.draw(st.integers(len(tensors), size))
    kept = masks.global_top_k(named, k)
    assert sum(m.sum() for m in kept.values()) == k
    assert all(m.any() for m in kept.values())
    flat = np.concatenate([t.ravel() for t in tensors])
    best = np.sort(flat)[::-1][:k]
    plain = masks.top_k(flat, k)
    parts = np.split(plain, np.cumsum([t.size for t in tensors])[:-1])
    if all(p.any() for p in parts):  # No tensor needed its last weight saved.
        chosen = np.concatenate([named[n][kept[n]] for n in named])
        assert np.array_equal(np.sort(chosen)[::-1], best)


def test_global_top_k_by_hand():
    kept = masks.global_top_k(
        {"a": np.array([9.0, 8, 7]), "b": np.array([1.0, 2])}, 3
    )
    assert kept["a"].tolist() == [True, True, False]
    assert kept["b"].tolist() == [False, True]


def test_global_top_k_needs_a_weight_for_each_tensor():
    with pytest.raises(ValueError, match="Received: 1 active weights for 2"):
        masks.global_top_k({"a": np.ones(3), "b": np.ones(3)}, 1)


@given(shapes, seeds(), st.data())
def test_random_mask_is_exact_and_repeats(shape, seed, data):
    k = data.draw(st.integers(0, int(np.prod(shape))))
    drawn = masks.random_mask(shape, k, masks.generator(seed, 1, 2))
    again = masks.random_mask(shape, k, masks.generator(seed, 1, 2))
    assert drawn.shape == shape and drawn.sum() == k
    assert np.array_equal(drawn, again)


def test_generator_tells_steps_and_tensors_apart():
    draws = {
        masks.generator(*key).integers(2**62)
        for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    }
    assert len(draws) == 4


@given(shapes, seeds(), st.data())
def test_growth_by_position_is_growth_of_masks(shape, seed, data):
    mask = data.draw(hnp.arrays(bool, shape))
    values = data.draw(
        hnp.arrays(np.float32, shape, elements=st.integers(-3, 3))
    )
    inactive, positions = np.flatnonzero(~mask), np.flatnonzero(mask)
    k = data.draw(st.integers(0, len(inactive)))
    chosen = np.random.default_rng(seed).choice(
        inactive, k, replace=False, shuffle=False
    )
    expected = mask.copy()
    expected.flat[chosen] = True
    grown = masks.grow_random(mask, k, np.random.default_rng(seed))
    np.testing.assert_array_equal(grown, expected)
    step = data.draw(st.integers(1, mask.size))
    flat = values.ravel()
    blocks = [(b, flat[b : b + step]) for b in range(0, mask.size, step)]
    np.testing.assert_array_equal(
        masks.grown_by_score(positions, blocks, k),
        np.flatnonzero(masks.grow_highest(values, mask, k)),
    )


@pytest.mark.parametrize("k", [0, 300, 6_000, 20_000, 29_999, 30_000])
def test_many_are_drawn_without_a_list_of_all(k, monkeypatch):
    monkeypatch.setattr(masks, "AT_ONCE", 0)
    total, size = np.zeros(30_000, int), 30_000
    for seed in range(10):
        chosen = masks.drawn(size, k, np.random.default_rng(seed))
        assert len(np.unique(chosen)) == len(chosen) == k
        total[chosen] += 1
    halves = total.reshape(2, -1).sum(1)  # Of 10 k, 5 k each but for chance.
    assert abs(halves[0] - halves[1]) < 5 * (10 * k) ** 0.5 + 1
    again = masks.drawn(size, k, np.random.default_rng(9))
    np.testing.assert_array_equal(np.sort(chosen), np.sort(again))


def test_random_mask_is_uniform():
    rng = np.random.default_rng(0)
    total = sum(masks.random_mask((10,), 3, rng) for _ in range(2000))
    assert np.abs(total / 2000 - 0.3).max() < 0.05


@given(scores, st.data())
def test_drop_then_grow_keeps_the_count(values, data):
    mask = data.draw(hnp.arrays(bool, values.shape))
    k = data.draw(st.integers(0, int(min(mask.sum(), (~mask).sum()))))
    dropped = masks.drop_lowest(values, mask, k)
    assert dropped.sum() == mask.sum() - k and not (dropped & ~mask).any()
    if 0 < k < mask.sum():
        assert values[mask & ~dropped].max() <= values[dropped].min()
    for grown in (
        masks.grow_random(dropped, k, np.random.default_rng(0)),
        masks.grow_highest(values, dropped, k),
    ):
        assert grown.sum() == mask.sum() and not (dropped & ~grown).any()


def test_grow_highest_can_be_kept_from_what_was_just_dropped():
    mask = np.array([True, False, False, False])
    allowed = np.array([True, False, True, True])
    grown = masks.grow_highest(np.array([0.0, 9, 1, 2]), mask, 1, allowed)
    assert grown.tolist() == [True, False, False, True]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_names_the_tensor(bad):
    named = {"conv1/kernel": np.array([1.0, 2]), "fc/kernel": np.array([bad])}
    with pytest.raises(ValueError, match="1 NaN or infinite.*'fc/kernel'"):
        masks.global_top_k(named, 2)


@pytest.mark.parametrize("k", [-1, 4])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match=f"Received: {k} of 3"):
        masks.top_k(np.ones(3), k)


@pytest.mark.parametrize("bad", [1.0, -0.1, 1.2, np.nan, "0.5", None, True])
def test_sparsity_must_be_in_range(bad):
    with pytest.raises(ValueError, match=r"in \[0, 1\).*Received: sparsity="):
        masks.check_sparsity(bad)
