"""TFLite files of sparse models, from every backend.

The zeros of a plain TFLite file take as much room as any weight: pruned models
that do not shrink are an old complaint. Here kernels are stored sparse, and a
file counts as exported only after it ran and gave the model's outputs.
"""

import gzip
import math
import numbers
import pathlib
import tempfile

import keras
import numpy as np
from keras import ops

from keras_snn.checks import check_integer
from keras_snn.conversion import strip
from keras_snn.export import conversion
from keras_snn.export import inputs
from keras_snn.export.report import ExportReport
from keras_snn.masking.mask_state import has_masks
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.weight_owners import weight_owners


def export_tflite(
    model,
    path,
    *,
    quantize=False,
    batch_size=None,
    compare_dense=True,
    samples=None,
    tolerance=None,
    seed=0,
):
    """Writes a model to a TFLite file that stores its kernels sparse.

    The file is run with ai-edge-litert, and its outputs are compared with the
    model's, before it appears at `path`; on any error, `path` stays as it was.
    TensorFlow converts; on JAX and torch a process of its own does that, which
    takes as long as importing TensorFlow does.

    What sparse encoding gives is a smaller file. The runtime expands most
    kernels when it loads them, so measure latency where the model will run.

    Args:
        model: A built Keras model, with masks or layers that compute sparse
            (it is stripped), or without.
        path: Where to write, ending in `.tflite`; a file there is replaced.
        quantize: Store kernels as int8 (dynamic range) rather than sparse.
            LiteRT's default delegate does not run files that are both; zeros
            stay zeros, which gzip finds.
        batch_size: Rows of every batch that the file takes. Defaults to that
            of the model's inputs, which may be any. Recurrent layers need it
            fixed, such as 1.
        compare_dense: Whether to convert the model once more, without sparse
            encoding or int8, to report that size.
        samples: Inputs to compare outputs on, as the model takes them, of
            shape (rows, ...). Defaults to a few drawn uniformly from [0, 1),
            or from {0, 1} where inputs are integers. A subclassed model needs
            them, and may have one input only.
        tolerance: Largest difference of outputs that is allowed, as a fraction
            of each output's largest absolute value, >= 0. Defaults to 1e-3,
            and to 0.1 if `quantize`.
        seed: Int >= 0, from which samples are drawn.

    Returns:
        An `ExportReport`; print it.

    Raises:
        ValueError: If the model is not built, an argument is out of range, or
            samples do not fit the model.
        RuntimeError: If the model cannot be converted, or the file does not
            run, or its outputs differ.
        ImportError: If TensorFlow or ai-edge-litert is missing, or Keras is
            older than 3.13.

    Example:

    ```python
    report = keras_snn.export_tflite(model, "model.tflite")
    print(report)
    ```
    """
    path = _checked_path(path)
    if not isinstance(quantize, bool):
        raise ValueError(
            "Argument `quantize` must be True, for int8, or False. "
            f"Received: quantize={quantize!r}"
        )
    tolerance = _checked_tolerance(tolerance, quantize)
    if batch_size is not None:
        check_integer("batch_size", batch_size, 1, "which the file is for")
    check_integer("seed", seed, 0, "which random draws derive from")
    _check_built(model)
    conversion.check_installed()
    sparsity = _fraction_of_zeros(model)
    if has_masks(model):
        model = strip(model)
    signature = inputs.signature(model, samples, batch_size)
    arrays = inputs.sample_arrays(model, signature, samples, seed)
    expected = inputs.outputs(model, arrays)
    feed = {s["name"]: x for s, x in zip(signature, arrays, strict=True)}
    with tempfile.TemporaryDirectory(prefix=".tflite_", dir=path.parent) as tmp:
        folder = pathlib.Path(tmp)
        file, dense = folder / "file.tflite", folder / "dense.tflite"
        files = {file: conversion.INT8 if quantize else conversion.SPARSE}
        if compare_dense:
            files[dense] = ()
        conversion.convert(model, signature, files, folder)
        difference, sparse_tensors = _compared(file, feed, expected, tolerance)
        sizes = {written: _sizes(written) for written in files}
        file.replace(path)
    return ExportReport(
        path,
        *sizes[file],
        *sizes.get(dense, (None, None)),
        sparsity,
        sparse_tensors,
        difference,
    )


def _sizes(path):
    content = path.read_bytes()
    return len(content), len(gzip.compress(content, mtime=0))


def _fraction_of_zeros(model):
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


def _compared(file, feed, expected, tolerance):
    try:
        outputs, sparse_tensors = conversion.run(file.read_bytes(), feed)
    except Exception as error:
        raise RuntimeError(
            "An exported file must run with LiteRT's default delegate, or it "
            "is of no use. Received: a file that was converted, but fails "
            f"with {error}"
        ) from error
    difference = float(
        np.max([_difference(outputs.get(n), y) for n, y in expected.items()])
    )
    if not difference <= tolerance:
        raise RuntimeError(
            "Outputs of the exported file must be those of the Keras model, "
            f"within tolerance={tolerance} of the largest; if rounding is to "
            "blame, as that of a GPU or of int8 may be, allow for more. "
            f"Received: a difference of {difference:.3g}"
        )
    return difference, sparse_tensors


def _difference(output, expected):
    if output is None or output.shape != expected.shape:
        return math.inf
    largest = max(np.abs(expected).max(), np.finfo("float32").tiny)
    return np.abs(output - expected).max() / largest


def _checked_path(path):
    path = pathlib.Path(path)
    if path.suffix != ".tflite" or path.is_dir():
        raise ValueError(
            "Argument `path` must name a file that ends in .tflite. "
            f"Received: path={str(path)!r}"
        )
    if not path.parent.is_dir():
        raise ValueError(
            "Argument `path` must be in a folder that exists, or the file "
            f"cannot be written. Received: path={str(path)!r}"
        )
    return path


def _checked_tolerance(tolerance, quantize):
    if tolerance is None:
        return 0.1 if quantize else 1e-3
    if not isinstance(tolerance, numbers.Real) or not 0 <= tolerance < math.inf:
        raise ValueError(
            "Argument `tolerance` must be a number >= 0, a fraction of the "
            f"largest output. Received: tolerance={tolerance!r}"
        )
    return tolerance


def _check_built(model):
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(
            "Argument `model` must be a Keras model that is built: give it an "
            f"`Input`, or call it on a batch. Received: {model!r}"
        )
