"""Subsets of the data: the hardest, the easiest, and at random.

All give indices, an exact count of them: `fraction` of the samples, rounded.
Class-balanced means that each class keeps the same fraction: its count is
rounded down or up so that the total is that of the subset without classes.
"""

import numbers

import numpy as np

from keras_snn.checks import check_integer
from keras_snn.hardness.scores import Scores


def hardest(scores, fraction, *, labels=None):
    """The samples of the highest scores.

    Args:
        scores: Floats of shape (n,), larger where a sample is harder, such as
            from `el2n`, or a `Scores`; infinity is hardest.
        fraction: Share of the samples, in (0, 1].
        labels: Integers of shape (n,), to keep the same fraction of each
            class. Defaults to the hardest of all, whatever their class.

    Returns:
        Indices, int64, the hardest first; of equal scores, the lowest index.

    Raises:
        ValueError: If the fraction is out of range or leaves no sample, or a
            score is NaN.

    Example:

    >>> hardest([0.1, 0.9, 0.5, 0.9], 0.5)
    array([1, 3])
    """
    order = np.argsort(-_values(scores), kind="stable")
    return _first(order, fraction, labels)


def easiest(scores, fraction, *, labels=None):
    """The samples of the lowest scores.

    Args:
        scores: As for `hardest`.
        fraction: Share of the samples, in (0, 1].
        labels: As for `hardest`.

    Returns:
        Indices, int64, the easiest first; of equal scores, the lowest index.

    Raises:
        ValueError: As for `hardest`.

    Example:

    >>> easiest([0.1, 0.9, 0.5, 0.9], 0.5)
    array([0, 2])
    """
    order = np.argsort(_values(scores), kind="stable")
    return _first(order, fraction, labels)


def random_subset(n, fraction, seed=0, *, labels=None):
    """Samples at random: what other subsets are compared to.

    A smaller fraction of the same seed is a subset of a larger one. Without
    labels these are the images that `keras_snn.datasets.load` keeps for
    `data_ratio=fraction` and this seed.

    Args:
        n: Number of samples.
        fraction: Share of the samples, in (0, 1].
        seed: Int >= 0.
        labels: As for `hardest`.

    Returns:
        Indices, int64, in ascending order.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    ```python
    rows = random_subset(len(x), 0.3)
    model.fit(x[rows], y[rows])
    ```
    """
    check_integer("seed", seed, 0, "which random draws derive from")
    check_integer("n", n, 1, "or there are no samples")
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(_first(order, fraction, labels))


def epochs_for_equal_steps(epochs, size, subset_size, batch_size=128):
    """How long to train on a subset for as many steps as on all the data.

    The alternative, an equal number of epochs, needs no help: the same
    `epochs` means fewer steps, in proportion.

    Args:
        epochs: Epochs of training on all the data.
        size: Number of samples in all.
        subset_size: Number of samples in the subset.
        batch_size: Samples a step, in both.

    Returns:
        Epochs on the subset, an int >= 1: the nearest to that many steps.

    Raises:
        ValueError: If an argument is not an int >= 1, or the subset is
            larger than the whole.

    Example:

    >>> epochs_for_equal_steps(200, size=50_000, subset_size=15_000)
    663
    """
    arguments = {
        "epochs": epochs,
        "size": size,
        "subset_size": subset_size,
        "batch_size": batch_size,
    }
    for name, value in arguments.items():
        check_integer(name, value, 1, "or no step is taken")
    if subset_size > size:
        raise ValueError(
            "Argument `subset_size` must be at most `size`. Received: "
            f"subset_size={subset_size}, size={size}"
        )
    steps = epochs * -(-size // batch_size)
    return max(1, round(steps / -(-subset_size // batch_size)))


def _values(scores):
    values = scores.values if isinstance(scores, Scores) else scores
    try:
        values = np.asarray(values, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            "Argument `scores` must be numbers of shape (n,), one a sample, or "
            f"they have no order. Received: scores={scores!r}"
        ) from error
    if values.ndim != 1 or np.isnan(values).any():
        raise ValueError(
            "Argument `scores` must be numbers of shape (n,), none of them "
            f"NaN, or they have no order. Received: shape={values.shape}, "
            f"{np.isnan(values).sum()} NaN"
        )
    return values


def _first(order, fraction, labels):
    count = _count(len(order), fraction)
    if labels is None:
        return order[:count]
    labels = np.asarray(labels)
    if labels.shape != order.shape:
        raise ValueError(
            f"Argument `labels` must hold {len(order)} classes, one a sample. "
            f"Received: labels of shape {labels.shape}"
        )
    classes, sizes = np.unique(labels, return_counts=True)
    kept = np.zeros(len(order), bool)
    for label, quota in zip(classes, _quotas(sizes, count), strict=True):
        kept[np.flatnonzero(labels[order] == label)[:quota]] = True
    return order[kept]


def _count(n, fraction):
    number = isinstance(fraction, numbers.Real)
    if not number or not 0 < fraction <= 1 or round(fraction * n) == 0:
        raise ValueError(
            "Argument `fraction` must be in (0, 1] and leave at least one of "
            f"the {n} samples. Received: fraction={fraction!r}"
        )
    return round(fraction * n)


def _quotas(sizes, count):
    """How many of each class: in proportion, largest remainders rounded up."""
    whole, rest = np.divmod(count * sizes.astype("int64"), sizes.sum())
    rounded_up = np.argsort(-rest, kind="stable")[: count - whole.sum()]
    whole[rounded_up] += 1
    return whole
