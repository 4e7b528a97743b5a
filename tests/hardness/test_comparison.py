import numpy as np
import pytest
from scipy import stats

from keras_snn.hardness import Scores
from keras_snn.hardness import agreement

pytestmark = pytest.mark.once


def test_rank_correlation_is_scipys():
    random = np.random.default_rng(0)
    scores = {
        "a": random.normal(size=40),
        "b": random.integers(0, 5, 40).astype(float),
        "c": np.where(random.random(40) < 0.2, np.inf, random.random(40)),
    }
    found = agreement(scores, 0.25)
    values = list(scores.values())
    for row in range(3):
        for column in range(3):
            expected = stats.spearmanr(values[row], values[column]).statistic
            assert found.rank_correlation[row, column] == pytest.approx(
                expected
            )
    assert found.names == ("a", "b", "c")


def test_overlap_by_hand():
    found = agreement({"a": [4.0, 3, 2, 1], "b": [1.0, 4, 3, 2]}, 0.5)
    assert found.overlap.tolist() == [[1.0, 0.5], [0.5, 1.0]]
    assert np.isnan(
        agreement({"a": [1, 2], "b": [1, 1]}).rank_correlation[0, 1]
    )


def test_scores_of_other_samples_are_refused():
    x, y = np.arange(6).reshape(3, 2), np.arange(3)
    scores = Scores.of([0.1, 0.2, 0.3], x, y)
    assert agreement({"a": scores, "b": scores.values}).overlap.min() == 1
    for other in ([0.1, 0.2], Scores.of([0.1, 0.2, 0.3], x + 1, y)):
        with pytest.raises(ValueError, match="of the same samples"):
            agreement({"a": scores, "b": other})
    with pytest.raises(ValueError, match="two scores"):
        agreement({"a": scores})


def test_a_dict_of_epochs_says_to_choose_one():
    by_epoch = {10: np.array([1.0, 2.0]), 20: np.array([2.0, 1.0])}
    with pytest.raises(ValueError, match=r"choose one.*'a'.*\[10, 20\]"):
        agreement({"a": by_epoch, "b": np.array([1.0, 2.0])})
