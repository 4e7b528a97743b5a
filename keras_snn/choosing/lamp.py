"""LAMP: a score that makes magnitudes of different layers comparable.

"Layer-adaptive sparsity for the Magnitude-based Pruning",
https://arxiv.org/abs/2010.07611. A weight's score is

    w^2 / sum of v^2 over the weights v of its layer that are not smaller

and one threshold for the whole model then says how sparse each layer is. The
largest of a layer has the score 1, so that no layer is emptied. It is the
scope `"lamp"` of whatever prunes by magnitude.

Differs from the paper's code: of equal scores at the threshold the first stay,
where it keeps all.
"""

import numpy as np


def lamp(magnitudes, active):
    """The LAMP scores of one layer.

    Args:
        magnitudes: Float array >= 0, finite.
        active: Bool array of the same shape: the weights that there are.

    Returns:
        A float64 array of the same shape, in [0, 1], 0 where not active. Of
        equal weights the first has the highest score, and so stays.

    Example:

    >>> lamp(np.array([3.0, 1.0, 0.0, 2.0]), np.ones(4, bool))
    array([1.0, 0.071, 0.0, 0.308])
    """
    squares = np.where(active, magnitudes, 0).astype("float64").ravel() ** 2
    descending = np.argsort(-squares, kind="stable")
    sums = np.cumsum(squares[descending])
    scores = np.zeros_like(squares)
    np.divide(squares[descending], sums, out=sums, where=sums > 0)
    scores[descending] = sums
    return scores.reshape(np.shape(magnitudes))
