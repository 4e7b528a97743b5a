import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_snn.datasets.source import Split
from keras_snn.datasets.source import random_subset as subset_of_split
from keras_snn.hardness import easiest
from keras_snn.hardness import epochs_for_equal_steps
from keras_snn.hardness import hardest
from keras_snn.hardness import random_subset

pytestmark = pytest.mark.once
few_scores = st.lists(
    st.sampled_from([0.0, 0.5, 1.0, np.inf]), min_size=1, max_size=40
)
fractions = st.floats(0.01, 1)


def test_by_hand():
    scores = [0.1, 0.9, 0.5, 0.9, np.inf]
    assert hardest(scores, 0.6).tolist() == [4, 1, 3]
    assert easiest(scores, 0.6).tolist() == [0, 2, 1]
    assert hardest(np.array([3, 5, 5]), 1).tolist() == [1, 2, 0]


def test_class_balanced_by_hand():
    scores = np.array([9, 8, 7, 6, 1, 2, 3, 4, 0, 5])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    assert hardest(scores, 0.5).tolist() == [0, 1, 2, 3, 9]
    half = [0, 1, 9, 7, 6]
    assert hardest(scores, 0.5, labels=labels).tolist() == half
    # Of 3, the quotas are 1.2, 1.2 and 0.6.
    third = [0, 9, 7]
    assert hardest(scores, 0.3, labels=labels).tolist() == third
    assert easiest(scores, 0.3, labels=labels).tolist() == [8, 4, 3]


def test_quotas_that_tie_go_to_the_lowest_class():
    labels = np.array([1, 0, 1, 0])
    assert hardest(np.zeros(4), 0.25, labels=labels).tolist() == [1]


@given(few_scores, fractions)
def test_exact_count_and_order(scores, fraction):
    count = round(fraction * len(scores))
    for choose, sign in ((hardest, -1), (easiest, 1)):
        if count == 0:
            with pytest.raises(ValueError, match="at least one"):
                choose(scores, fraction)
            continue
        keys = [(sign * score, i) for i, score in enumerate(scores)]
        expected = [i for _, i in sorted(keys)[:count]]
        assert choose(scores, fraction).tolist() == expected


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1),
    fractions,
    st.sampled_from([hardest, easiest, None]),
)
def test_class_balanced(rows, fraction, choose):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    count = round(fraction * len(rows))
    if count == 0:
        return
    if choose is None:
        chosen = random_subset(len(rows), fraction, labels=labels)
    else:
        chosen = choose(scores, fraction, labels=labels)
    assert len(set(chosen.tolist())) == count
    for label in set(labels.tolist()):
        share = count * np.count_nonzero(labels == label) / len(rows)
        of_class = np.count_nonzero(labels[chosen] == label)
        assert np.floor(share) <= of_class <= np.ceil(share)
        if choose is hardest:
            kept = scores[chosen[labels[chosen] == label]]
            best = np.sort(scores[labels == label])[::-1][:of_class]
            np.testing.assert_array_equal(kept, best)


@given(st.integers(1, 300), fractions, fractions, st.integers(0, 2**40))
def test_random_subsets_are_nested(n, a, b, seed):
    if round(min(a, b) * n) == 0:
        return
    small, large = (random_subset(n, f, seed) for f in sorted((a, b)))
    assert set(small.tolist()) <= set(large.tolist())
    assert (np.diff(large) > 0).all()


def test_random_subset_is_that_of_data_ratio():
    numbered = Split(np.arange(200), np.arange(200))
    expected = subset_of_split(numbered, 0.3, 5).y
    assert random_subset(200, 0.3, 5).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"fraction": 0}, "fraction=0"),
        ({"fraction": 1.01}, "fraction=1.01"),
        ({"fraction": float("nan")}, "fraction=nan"),
        ({"fraction": "half"}, "fraction='half'"),
        ({"fraction": 0.1}, "at least one of the 3 samples"),
        ({"scores": [1, np.nan, 2]}, "1 NaN"),
        ({"scores": np.ones((3, 1))}, r"shape=\(3, 1\)"),
        ({"scores": "abc"}, "numbers of shape.*scores=.abc"),
        ({"labels": [0, 1]}, r"3 classes.*shape \(2,\)"),
    ],
)
def test_bad_arguments(arguments, message):
    for choose in (hardest, easiest):
        with pytest.raises(ValueError, match=message):
            choose(**{"scores": [1, 2, 3], "fraction": 0.5, **arguments})


def test_bad_seed():
    with pytest.raises(ValueError, match="seed=-1"):
        random_subset(10, 0.5, -1)


def test_epochs_for_equal_steps():
    assert epochs_for_equal_steps(200, 50_000, 50_000) == 200
    assert epochs_for_equal_steps(200, 50_000, 15_000) == round(200 * 391 / 118)
    assert epochs_for_equal_steps(10, 100, 50, batch_size=10) == 20
    assert epochs_for_equal_steps(1, 10, 10, batch_size=128) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"epochs": 0}, "`epochs` must be an int >= 1"),
        ({"subset_size": 0}, "subset_size=0"),
        ({"batch_size": 1.5}, "batch_size=1.5"),
        ({"subset_size": 101}, "at most `size`"),
    ],
)
def test_bad_epochs(arguments, message):
    good = {"epochs": 5, "size": 100, "subset_size": 50}
    with pytest.raises(ValueError, match=message):
        epochs_for_equal_steps(**{**good, **arguments})
