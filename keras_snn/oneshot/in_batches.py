"""Gradients of more samples than fit at a time."""

from collections.abc import Iterator

import keras
import numpy as np

from keras_snn.checks import check_integer


def batches_of(x, y, batch_size=None):
    """The batches that arguments of a method mean.

    Args:
        x: Inputs, an array or a nested structure of arrays. Or, with `y` None,
            a `keras.utils.PyDataset` or an iterable of batches `(x, y)` that
            can be begun anew, such as a list or a `tf.data.Dataset`.
        y: Their targets, likewise.
        batch_size: Samples of a batch of arrays, an int >= 1; the last may be
            smaller. Defaults to None, all of them.

    Returns:
        A list of `(x, y)`.

    Raises:
        ValueError: If `y` is None and `x` holds no batches, or `batch_size` is
            out of range.
    """
    if y is None:
        return _given(x)
    if batch_size is None:
        return [(x, y)]
    check_integer("batch_size", batch_size, 1, "or a batch has no samples")
    return [
        keras.tree.map_structure(
            lambda array, at=start: array[at : at + batch_size], (x, y)
        )
        for start in range(0, max(_samples((x, y)), 1), batch_size)
    ]


def mean_over(batches, function):
    """The mean of what a function makes of batches, each by its samples.

    Of the gradient of a mean loss that is the gradient over all samples, but
    for BatchNorm in training mode, which sees one batch at a time.

    Args:
        batches: A list of `(x, y)`.
        function: Takes the `x` and `y` of a batch, returns a list of arrays.

    Returns:
        A list of arrays.
    """
    if len(batches) == 1:
        return function(*batches[0])
    sizes = [_samples(batch) for batch in batches]
    total = None
    for batch, size in zip(batches, sizes, strict=True):
        parts = [part * (size / sum(sizes)) for part in function(*batch)]
        total = parts if total is None else list(map(np.add, total, parts))
    return total


def _given(data):
    if isinstance(data, keras.utils.PyDataset):
        batches = [data[place] for place in range(len(data))]
    elif hasattr(data, "shape") or not hasattr(data, "__iter__"):
        batches = []
    elif isinstance(data, Iterator):
        raise ValueError(
            "Batches must come from what can be begun anew, such as a list or "
            f"a tf.data.Dataset, since each round does. Received: {data!r}"
        )
    else:
        batches = list(data)
    if not batches or not all(isinstance(b, (tuple, list)) for b in batches):
        raise ValueError(
            "Without `y`, argument `x` must hold batches (x, y), one at least. "
            f"Received: y=None, x of type {type(data).__name__}"
        )
    return [tuple(batch[:2]) for batch in batches]


def _samples(batch):
    """The longest length in a batch; what differs is found where it is used."""
    shapes = map(np.shape, keras.tree.flatten(batch))
    return max(shape[0] if shape else 0 for shape in shapes)
