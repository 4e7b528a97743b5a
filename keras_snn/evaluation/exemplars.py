"""Pruning-identified exemplars: samples on which pruning changes the answer.

Hooker, Courville, Clark, Dauphin and Frome, 2019, "What Do Compressed Deep
Neural Networks Forget?", https://arxiv.org/abs/1911.05248: those of which the
class that most dense networks predict is not the one that most pruned networks
do. They are harder for people, too.
"""

import numpy as np


def exemplars(dense, pruned):
    """Which samples most pruned networks take for what most dense ones do not.

    Args:
        dense: Predicted classes of dense networks of several seeds, integers
            of shape (networks, n); the paper has 30.
        pruned: Those of pruned networks, of shape (networks, n).

    Returns:
        Bools of shape (n,). Of classes predicted as often, the lowest counts.

    Raises:
        ValueError: If they are not of the same samples.

    Example:

    >>> exemplars([[0, 1], [0, 1], [1, 1]], [[1, 1], [1, 1], [0, 1]])
    array([ True, False])

    Reference:
        [What Do Compressed Deep Neural Networks Forget?](
        https://arxiv.org/abs/1911.05248)
    """
    dense, pruned = np.asarray(dense), np.asarray(pruned)
    for name, each in (("dense", dense), ("pruned", pruned)):
        if each.ndim != 2 or each.dtype.kind not in "iu" or 0 in each.shape:
            raise ValueError(
                f"Argument `{name}` must be predicted classes, integers of "
                f"shape (networks, n). Received: dtype={each.dtype}, "
                f"shape={each.shape}"
            )
    if dense.shape[1] != pruned.shape[1]:
        raise ValueError(
            "Arguments `dense` and `pruned` must be of the same samples. "
            f"Received: {dense.shape[1]} and {pruned.shape[1]}"
        )
    return _modes(dense) != _modes(pruned)


def _modes(predicted):
    """The class that most networks predict, of each sample."""
    counts = np.zeros((predicted.shape[1], predicted.max() + 1), int)
    for classes in predicted:
        counts[np.arange(len(classes)), classes] += 1
    return counts.argmax(axis=1)
