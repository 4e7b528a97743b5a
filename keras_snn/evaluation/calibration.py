"""Calibration: whether a network is as often right as it is sure.

Guo, Pleiss, Sun and Weinberger, 2017, "On Calibration of Modern Neural
Networks", https://arxiv.org/abs/1706.04599: samples are put in bins of equal
width by the probability of the class that is predicted.
"""

import dataclasses

import numpy as np

from keras_snn.checks import check_integer
from keras_snn.evaluation.arrays import checked
from keras_snn.hardness.outputs import log_softmax


@dataclasses.dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram, a value for each bin.

    Attributes:
        edges: Of the bins, of shape (bins + 1,), from 0 to 1.
        counts: How many samples are in each.
        confidence: Their mean probability of the predicted class; NaN where
            there are none.
        accuracy: The share of them that is classified rightly; NaN likewise.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def nll(logits, y):
    """The mean negative log-likelihood of the true classes, in nats.

    Args:
        logits: Floats of shape (n, classes).
        y: True classes, integers of shape (n,).

    Returns:
        A float >= 0.

    Raises:
        ValueError: If they do not fit.

    Example:

    ```python
    loss = nll(model.predict(x), y)
    ```
    """
    logits, y = checked(logits, y)
    return float(-log_softmax(logits)[np.arange(len(y)), y].mean())


def reliability(logits, y, bins=15):
    """What a reliability diagram shows.

    Args:
        logits: Floats of shape (n, classes).
        y: True classes, integers of shape (n,).
        bins: How many, 15 as in the paper's tables.

    Returns:
        A `Reliability`.

    Raises:
        ValueError: If they do not fit.

    Example:

    ```python
    found = reliability(model.predict(x), y)
    plt.plot(found.confidence, found.accuracy)
    ```
    """
    logits, y = checked(logits, y)
    check_integer("bins", bins, 1, "to put samples in")
    confidence = np.exp(log_softmax(logits).max(axis=1))
    right = logits.argmax(axis=1) == y
    edges = np.linspace(0, 1, bins + 1)
    # A bin is open below and closed above, as in the paper.
    places = np.clip(np.searchsorted(edges, confidence) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)

    def mean(values):
        with np.errstate(invalid="ignore"):
            return np.bincount(places, values, bins) / counts

    return Reliability(edges, counts, mean(confidence), mean(right))


def ece(logits, y, bins=15):
    """The expected calibration error: 0 is calibrated, 1 the worst.

    Args:
        logits: Floats of shape (n, classes).
        y: True classes, integers of shape (n,).
        bins: As for `reliability`.

    Returns:
        The mean over samples of the gap between confidence and accuracy of
        their bin.

    Raises:
        ValueError: If they do not fit.

    Example:

    ```python
    error = ece(model.predict(x), y)
    ```

    Reference:
        [On Calibration of Modern Neural Networks](
        https://arxiv.org/abs/1706.04599)
    """
    found = reliability(logits, y, bins)
    gaps = np.abs(found.accuracy - found.confidence)
    return float(np.nansum(found.counts * gaps) / found.counts.sum())
