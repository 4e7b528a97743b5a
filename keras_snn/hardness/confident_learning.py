"""Confident learning: which labels are wrong, rather than hard.

Northcutt, Jiang and Chuang, 2021, "Confident Learning: Estimating Uncertainty
in Dataset Labels", https://arxiv.org/abs/1911.00068. A hard sample is one that
a network is unsure of; a mislabelled one, one where it is as sure of another
class as it is of that class's own samples. By the authors' package, cleanlab.
"""

import numpy as np

from keras_snn.extras import require


def mislabelled(probabilities, y):
    """Which samples bear a wrong label, by predictions of networks.

    Args:
        probabilities: Floats of shape (n, classes), each row with the sum 1:
            of networks that were not trained on the samples they are of, as by
            cross-validation, or the wrong labels are learnt, too.
        y: Labels, integers of shape (n,); every class must occur.

    Returns:
        Bools of shape (n,).

    Raises:
        ImportError: If cleanlab is not installed.
        ValueError: If labels and probabilities do not fit.

    Example:

    ```python
    wrong = mislabelled(probabilities, y)
    hard = np.setdiff1d(hardest(scores, 0.3), np.flatnonzero(wrong))
    ```
    """
    y, probabilities = np.asarray(y), np.asarray(probabilities, "float64")
    if (
        y.ndim != 1
        or y.dtype.kind not in "iu"
        or probabilities.ndim != 2
        or len(probabilities) != len(y)
        or not np.allclose(probabilities.sum(axis=1), 1, atol=0.01)
        or not np.array_equal(np.unique(y), range(probabilities.shape[1]))
    ):
        raise ValueError(
            "Arguments `probabilities` and `y` must be a row with the sum 1 "
            "and a class for each sample, and every class must occur. "
            f"Received: shapes {probabilities.shape} and {y.shape}, "
            f"{len(np.unique(y))} classes among the labels"
        )
    cleanlab = require("cleanlab.filter", "Confident learning")
    return cleanlab.find_label_issues(y, probabilities, n_jobs=1)
