"""Where a network is right: by class, and by how hard samples are."""

import numbers

import numpy as np

from keras_snn.evaluation.arrays import checked


def accuracy_by_class(logits, y):
    """The accuracy on the samples of each class.

    Args:
        logits: Floats of shape (n, classes); probabilities do, too.
        y: True classes, integers of shape (n,).

    Returns:
        Float64 of shape (classes,), in [0, 1]; NaN for a class without
        samples.

    Raises:
        ValueError: If they do not fit.

    Example:

    >>> accuracy_by_class([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]], [0, 1, 1])
    array([1. , 0.5])
    """
    logits, y = checked(logits, y)
    classes = logits.shape[1]
    right = np.bincount(y[logits.argmax(axis=1) == y], minlength=classes)
    with np.errstate(invalid="ignore"):
        return right / np.bincount(y, minlength=classes)


def accuracy_by_hardness(logits, y, scores, groups=10):
    """The accuracy on samples from the easiest to the hardest.

    Args:
        logits: Floats of shape (n, classes); probabilities do, too.
        y: True classes, integers of shape (n,).
        scores: Of the same samples, floats of shape (n,), larger where harder:
            of other networks than the one that is evaluated, or it is measured
            by itself.
        groups: How many, of equal size to within one sample.

    Returns:
        Float64 of shape (groups,), in [0, 1], the easiest first. Samples of
        equal score are put in groups by their place.

    Raises:
        ValueError: If they do not fit, or there are fewer samples than groups.

    Example:

    ```python
    scores = keras_snn.hardness.el2n(dense_model, x, y)
    found = accuracy_by_hardness(sparse_model.predict(x), y, scores)
    ```
    """
    logits, y = checked(logits, y)
    scores = np.asarray(scores, "float64")
    if scores.shape != y.shape or np.isnan(scores).any():
        raise ValueError(
            "Argument `scores` must be one number for each sample, none of "
            f"them NaN. Received: shape={scores.shape} for {len(y)} samples, "
            f"{np.isnan(scores).sum()} NaN"
        )
    if not isinstance(groups, numbers.Integral) or not 1 <= groups <= len(y):
        raise ValueError(
            f"Argument `groups` must be an int from 1 to {len(y)}, the number "
            f"of samples. Received: groups={groups!r}"
        )
    order = np.argsort(scores, kind="stable")
    right = (logits.argmax(axis=1) == y)[order]
    return np.array([part.mean() for part in np.array_split(right, groups)])
