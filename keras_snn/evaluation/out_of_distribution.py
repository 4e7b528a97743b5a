"""Whether a network is less sure of what is none of its classes.

Hendrycks and Gimpel, 2017, "A Baseline for Detecting Misclassified and
Out-of-Distribution Examples in Neural Networks",
https://arxiv.org/abs/1610.02136: by the highest probability of softmax.
"""

import numpy as np

from keras_snn.evaluation.arrays import checked
from keras_snn.extras import require
from keras_snn.hardness.outputs import log_softmax


def out_of_distribution_auroc(logits, others):
    """How well confidence tells a network's own samples from others.

    Args:
        logits: Of samples of the network's classes, floats (n, classes).
        others: Of samples of other data, (m, classes).

    Returns:
        The area under the ROC curve, in [0, 1]: how likely the network is
        surer of one of its own than of another; 0.5 is chance.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If logits are not of that shape.

    Reference:
        [A Baseline for Detecting Misclassified and Out-of-Distribution
        Examples](https://arxiv.org/abs/1610.02136)
    """
    metrics = require("sklearn.metrics", "The area under the ROC curve")
    parts = [
        log_softmax(checked(each)).max(axis=1) for each in (logits, others)
    ]
    own = np.repeat([1, 0], [len(part) for part in parts])
    return float(metrics.roc_auc_score(own, np.concatenate(parts)))
