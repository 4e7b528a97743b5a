"""Logits and labels, checked."""

import numpy as np


def checked(logits, y=None):
    """Logits as float64, and labels as integers if there are any.

    Raises:
        ValueError: If they are not finite numbers of shape (n, classes) and
            integers of shape (n,) in [0, classes).
    """
    logits = np.asarray(logits, "float64")
    if logits.ndim != 2 or 0 in logits.shape or not np.isfinite(logits).all():
        raise ValueError(
            "Argument `logits` must be finite numbers of shape (n, classes). "
            f"Received: shape={logits.shape}, "
            f"{np.count_nonzero(~np.isfinite(logits))} not finite"
        )
    if y is None:
        return logits
    y = np.asarray(y)
    if y.dtype.kind not in "iu" or y.shape != logits.shape[:1]:
        raise ValueError(
            "Argument `y` must be one integer for each row of logits. "
            f"Received: dtype={y.dtype}, shape={y.shape}, and logits of shape "
            f"{logits.shape}"
        )
    if y.min() < 0 or y.max() >= logits.shape[1]:
        raise ValueError(
            f"Argument `y` must be classes in [0, {logits.shape[1]}). "
            f"Received: from {y.min()} to {y.max()}"
        )
    return logits, y
