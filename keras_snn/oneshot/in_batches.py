"""Gradients of more samples than fit at a time."""

import keras
import numpy as np

from keras_snn.checks import check_integer


def mean_over_batches(function, x, y, batch_size=None):
    """The mean of what a function makes of batches, each by its samples.

    Of the gradient of a mean loss that is the gradient over all samples, but
    for BatchNorm in training mode, which sees one batch at a time.

    Args:
        function: Takes `x` and `y` of a batch, returns a list of arrays.
        x: Inputs, an array or a nested structure of arrays.
        y: Their targets, likewise.
        batch_size: Samples of a batch, an int >= 1; the last may be smaller.
            Defaults to None, all at a time.

    Returns:
        A list of arrays.
    """
    if batch_size is None:
        return function(x, y)
    check_integer("batch_size", batch_size, 1, "or a batch has no samples")
    samples = max(map(_length, keras.tree.flatten((x, y))))
    if not samples:
        return function(x, y)
    total = None
    for start in range(0, samples, batch_size):
        stop = min(start + batch_size, samples)
        of_batch = keras.tree.map_structure(
            lambda array, at=slice(start, stop): array[at], (x, y)
        )
        share = (stop - start) / samples
        parts = [np.asarray(p) * share for p in function(*of_batch)]
        total = parts if total is None else list(map(np.add, total, parts))
    return total


def _length(array):
    shape = np.shape(array)
    return shape[0] if shape else 0
