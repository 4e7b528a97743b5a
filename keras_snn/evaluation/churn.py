"""Churn: how often networks that are as good say different things.

Milani Fard, Cormier, Canini and Gupta, 2016, "Launch and Iterate: Reducing
Prediction Churn", Advances in Neural Information Processing Systems 29.
"""

import itertools

import numpy as np


def churn(first, second=None):
    """The share of samples of which networks predict different classes.

    Args:
        first: Predicted classes, integers of shape (n,), or of several
            networks, such as of several seeds, (networks, n).
        second: The same of others. Defaults to `first`: each of its networks
            is compared to each other.

    Returns:
        The mean over pairs of networks, in [0, 1].

    Raises:
        ValueError: If they are not of the same samples, or there is no pair.

    Example:

    >>> churn([0, 1, 2, 2], [0, 1, 1, 1])
    0.5
    """
    first = np.atleast_2d(first)
    others = first if second is None else np.atleast_2d(second)
    if second is None:
        pairs = list(itertools.combinations(first, 2))
    else:
        pairs = list(itertools.product(first, others))
    if not pairs or first.shape[-1] != others.shape[-1]:
        raise ValueError(
            "Predictions must be of two networks at least, on the same "
            f"samples. Received: shapes {first.shape} and {others.shape}"
        )
    return float(np.mean([np.mean(one != other) for one, other in pairs]))
