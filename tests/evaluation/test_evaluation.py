"""By hand, or on made-up predictions of known truth."""

import numpy as np
import pytest
from scipy import stats

from keras_snn.evaluation import accuracy_by_class
from keras_snn.evaluation import accuracy_by_hardness
from keras_snn.evaluation import churn
from keras_snn.evaluation import ece
from keras_snn.evaluation import exemplars
from keras_snn.evaluation import mcnemar
from keras_snn.evaluation import nll
from keras_snn.evaluation import out_of_distribution_auroc
from keras_snn.evaluation import reliability

pytestmark = pytest.mark.once


def calibrated(n=20_000, classes=4):
    """Logits, and labels drawn by the probabilities that they say."""
    random = np.random.default_rng(0)
    logits = random.normal(scale=2, size=(n, classes))
    gumbel = random.gumbel(size=(n, classes))
    return logits, (logits + gumbel).argmax(axis=1)


def test_accuracy_by_class_and_hardness():
    logits = np.eye(3)[[0, 0, 1, 1, 0, 1]]
    y = np.array([0, 1, 1, 1, 0, 0])
    found = accuracy_by_class(logits, y)
    assert found[:2] == pytest.approx([2 / 3, 2 / 3]) and np.isnan(found[2])
    scores = [0.1, 0.9, 0.2, 0.3, 0.1, np.inf]
    by_score = accuracy_by_hardness(logits, y, scores, groups=3)
    assert by_score.tolist() == [1, 1, 0]
    sizes = accuracy_by_hardness(logits, y, scores, groups=4)
    assert sizes.shape == (4,)


def test_nll_and_ece_of_calibrated_predictions():
    logits, y = calibrated()
    powers = np.exp(logits)
    shares = powers / powers.sum(axis=1, keepdims=True)
    expected = -np.log(shares[np.arange(len(y)), y]).mean()
    assert nll(logits, y) == pytest.approx(expected)
    assert nll(logits + 900, y) == pytest.approx(expected)
    assert ece(logits, y) < 0.015
    # Twice as sure, and no more often right.
    assert ece(2 * logits, y) > 0.08
    found = reliability(logits, y, bins=10)
    assert found.counts.sum() == len(y)
    full = found.counts > 200
    assert np.abs(found.accuracy - found.confidence)[full].max() < 0.06
    assert np.isnan(found.accuracy[0]) and found.counts[0] == 0


def test_ece_by_hand():
    # Sure by 0.5, 0.5 and 1; right once, not, and once.
    logits = np.array([[0.0, 0.0], [0.0, 0.0], [900.0, 0.0]])
    found = reliability(logits, np.array([0, 1, 0]), bins=2)
    assert found.counts.tolist() == [2, 1]  # 0.5 is in the first bin.
    assert found.accuracy.tolist() == [0.5, 1.0]
    assert ece(logits, np.array([0, 0, 0]), bins=2) == pytest.approx(1 / 3)


def test_mcnemar_is_the_sign_test_of_those_that_differ():
    first = np.repeat([True, True, False, False], [50, 9, 3, 8])
    second = np.repeat([True, False, True, False], [50, 9, 3, 8])
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (9, 3)
    assert found.p == pytest.approx(stats.binomtest(3, 12).pvalue)
    assert mcnemar(first, first).p == 1


def test_churn_is_the_mean_over_pairs():
    three = np.array([[0, 1, 2, 2], [0, 1, 1, 1], [0, 1, 2, 1]])
    assert churn(three[0], three[1]) == 0.5
    assert churn(three) == pytest.approx((0.5 + 0.25 + 0.25) / 3)
    assert churn(three[:2], three[2]) == pytest.approx(0.25)


def test_exemplars_are_those_whose_mode_changes():
    dense = np.array([[0, 1, 2], [0, 1, 2], [1, 1, 0]])
    pruned = np.array([[1, 1, 2], [0, 1, 2], [1, 0, 0]])
    assert exemplars(dense, pruned).tolist() == [True, False, False]
    # 2 and 0 as often: the lowest.
    pruned = np.array([[0, 1, 2], [0, 1, 0]])
    assert exemplars(dense, pruned).tolist() == [False, False, True]


def test_auroc_is_how_often_its_own_samples_are_surer():
    random = np.random.default_rng(0)
    own = random.normal(scale=3, size=(60, 5))
    others = random.normal(scale=1, size=(40, 5))

    def confidence(logits):
        powers = np.exp(logits)
        return powers.max(axis=1) / powers.sum(axis=1)

    surer = confidence(own)[:, None] > confidence(others)
    found = out_of_distribution_auroc(own, others)
    assert found == pytest.approx(surer.mean())
    assert out_of_distribution_auroc(own, own) == pytest.approx(0.5)


def test_what_does_not_fit_is_refused():
    logits, y = calibrated(10)
    for call, says in (
        (lambda: nll(logits[0], y), "`logits`.*shape=.4,"),
        (lambda: nll(logits * np.nan, y), "`logits`.*40 not finite"),
        (lambda: ece(logits, y[:-1]), "`y`.*shape=.9,"),
        (lambda: ece(logits, y + 4), "`y`.*classes in"),
        (lambda: ece(logits, y / 2), "`y`.*float64"),
        (lambda: ece(logits, y, bins=0), "`bins`"),
        (lambda: accuracy_by_hardness(logits, y, y[1:]), "`scores`"),
        (lambda: accuracy_by_hardness(logits, y, y, 11), "`groups`"),
        (lambda: mcnemar(y, y), "must be bools"),
        (lambda: mcnemar(y == 0, y[1:] == 0), "same samples"),
        (lambda: churn(y), "two networks"),
        (lambda: churn(y, y[1:]), "two networks"),
        (lambda: exemplars(y, y), "`dense`"),
        (lambda: exemplars([y], [y[1:]]), "same samples"),
    ):
        with pytest.raises(ValueError, match=says):
            call()
