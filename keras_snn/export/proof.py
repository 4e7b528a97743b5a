"""What every kind of file is asked: arguments in range, outputs the model's."""

import math
import numbers
import os
import pathlib

import numpy as np
from keras import ops

from keras_snn.masking.mask_state import has_masks
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.weight_owners import weight_owners


def checked_path(path, suffix):
    """The path as a `pathlib.Path`; raises a `ValueError` if it is wrong."""
    path = pathlib.Path(path)
    if path.suffix != suffix or path.is_dir():
        raise ValueError(
            f"Argument `path` must name a file that ends in {suffix}. "
            f"Received: path={str(path)!r}"
        )
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(
            "Argument `path` must be in a folder that exists and may be "
            f"written to, or the file is lost. Received: path={str(path)!r}"
        )
    return path


def checked_tolerance(tolerance, default):
    """The tolerance as a number; raises a `ValueError` if it is none."""
    if tolerance is None:
        return default
    if not isinstance(tolerance, numbers.Real) or not 0 <= tolerance < math.inf:
        raise ValueError(
            "Argument `tolerance` must be a number >= 0, a fraction of the "
            f"largest output. Received: tolerance={tolerance!r}"
        )
    return tolerance


def fraction_of_zeros(model):
    """Of the kernels with masks; without any, of those to mask by default."""
    if has_masks(model):
        kernels = [(m.weight, m.size) for m in masked_weights(model).values()]
    else:
        owners = [o for o in weight_owners(model) if o.is_default]
        kernels = [(owner.weight, math.prod(owner.shape)) for owner in owners]
    size = sum(of_kernel for _, of_kernel in kernels)
    active = sum(
        int(np.count_nonzero(ops.convert_to_numpy(weight.value)))
        for weight, _ in kernels
    )
    return 1 - active / size if size else 0.0


def checked_difference(outputs, expected, tolerance):
    """The largest difference, as a fraction of each output's largest value.

    Args:
        outputs: Arrays, or None for an output that is missing.
        expected: As many arrays.
        tolerance: What is allowed.

    Raises:
        RuntimeError: If the difference is larger, or a shape another.
    """
    pairs = zip(outputs, expected, strict=True)
    difference = float(np.max([_difference(y, of) for y, of in pairs]))
    if not difference <= tolerance:
        raise RuntimeError(
            "Outputs of the exported file must be those of the Keras model, "
            f"within tolerance={tolerance} of the largest; if rounding is to "
            "blame, as that of a GPU or of int8 may be, allow for more. "
            f"Received: a difference of {difference:.3g}"
        )
    return difference


def _difference(output, expected):
    if output is None or output.shape != expected.shape:
        return math.inf
    largest = max(np.abs(expected).max(), np.finfo("float32").tiny)
    return np.abs(output - expected).max() / largest
