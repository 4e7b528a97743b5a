"""TFLite files of sparse models, from every backend.

The zeros of a plain TFLite file take as much room as any weight: pruned models
that do not shrink are an old complaint. Here kernels are stored sparse, and a
file counts as exported only after it ran and gave the model's outputs.
"""

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
from keras_snn.export import running
from keras_snn.export.report import ExportReport
from keras_snn.export.sizes import sizes
from keras_snn.export.stored import stored_tensors
from keras_snn.masking.mask_state import has_masks
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.weight_owners import weight_owners

# Largest difference of outputs, by how values are stored.
TOLERANCE = {None: 1e-3, "float16": 1e-2, "dynamic": 0.1, "int8": 0.1}
SAMPLES = 32  # At most, of the representative data.


def export_tflite(
    model,
    path,
    *,
    quantize=None,
    representative=None,
    batch_size=None,
    compare_dense=True,
    samples=None,
    tolerance=None,
    runs=20,
    seed=0,
):
    """Writes a model to a TFLite file that stores its kernels sparse.

    The file is run with ai-edge-litert, and its outputs are compared with the
    model's, before it appears at `path`; on any error, `path` stays as it was.
    TensorFlow converts; on JAX and torch a process of its own does that, which
    takes as long as importing TensorFlow does.

    What sparse encoding gives is a smaller file, not a faster one. LiteRT's
    XNNPACK computes sparse only in networks of 1x1 convolutions that it can
    lay out channels first, and on x86 only without AVX, since with it dense
    code is expected to be faster (`xnn_is_chw_compatible_config` in its
    source): all other kernels it expands when it loads them. So with AVX-512 a
    network of separable convolutions took 0.99 to 1.00 of the dense file's
    time at sparsities of 0.8 to 0.95. The report has the latency of both
    files, on the machine that exports.

    Args:
        model: A built Keras model, with masks or layers that compute sparse
            (it is stripped), or without.
        path: Where to write, ending in `.tflite`; a file there is replaced.
        quantize: How kernels are stored:

            - None or False: float32, sparse.
            - `"float16"`: float16, sparse. Computed in float32.
            - `"dynamic"` or True: kernels of 1024 values or more as int8,
              activations in float32 (dynamic range). Not sparse.
            - `"int8"`: kernels and activations as int8, with inputs and
              outputs in float32. Not sparse. Needs `representative`.

            TensorFlow converts to int8 and sparse at once, too, but LiteRT's
            default delegate does not run the file (TensorFlow 2.21, LiteRT
            2.3). In int8, zeros stay zeros, which gzip finds.
        representative: For `"int8"`, inputs like those of training, which tell
            the range of each activation: as the model takes them, of shape
            (rows, ...), or an iterable of such batches. TensorFlow's guide
            takes 100 to 500 rows.
        batch_size: Rows of every batch that the file takes. Defaults to that
            of the model's inputs, which may be any. Recurrent layers need it
            fixed, such as 1.
        compare_dense: Whether to convert the model once more, without sparse
            encoding or quantization, to report that size and latency.
        samples: Inputs to compare outputs on, as the model takes them, of
            shape (rows, ...). Defaults to the first of `representative`, else
            to a few drawn uniformly from [0, 1), or from {0, 1} where inputs
            are integers. A subclassed model needs them, and may have one input
            only.
        tolerance: Largest difference of outputs that is allowed, as a fraction
            of each output's largest absolute value, >= 0. Defaults to 1e-3, to
            0.01 for `"float16"`, and to 0.1 for both kinds of int8.
        runs: Int >= 0, how often to run one batch of `batch_size` rows, or of
            one row, to measure latency; 0 for not at all.
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
    keras_snn.export_tflite(
        model, "int8.tflite", quantize="int8", representative=x_train[:100]
    )
    ```
    """
    path = _checked_path(path)
    quantize = _checked_quantize(quantize, representative)
    tolerance = _checked_tolerance(tolerance, quantize)
    if batch_size is not None:
        check_integer("batch_size", batch_size, 1, "which the file is for")
    check_integer("runs", runs, 0, "which latency is the median of")
    check_integer("seed", seed, 0, "which random draws derive from")
    _check_built(model)
    conversion.check_installed()
    sparsity = _fraction_of_zeros(model)
    if has_masks(model):
        model = strip(model)
    signature = inputs.signature(model, samples, batch_size)
    rows = signature[0]["shape"][0]
    if representative is not None:
        representative = inputs.representative_arrays(
            model, signature, representative
        )
    if representative is not None and samples is None:
        arrays = [x[: rows or SAMPLES] for x in representative]
    else:
        arrays = inputs.sample_arrays(model, signature, samples, seed)
    expected = inputs.outputs(model, arrays)
    feed = {s["name"]: x for s, x in zip(signature, arrays, strict=True)}
    with tempfile.TemporaryDirectory(prefix=".tflite_", dir=path.parent) as tmp:
        folder = pathlib.Path(tmp)
        file, plain = folder / "file.tflite", folder / "plain.tflite"
        files = {file: quantize or "sparse"}
        if compare_dense:
            files[plain] = "dense"
        conversion.convert(model, signature, files, folder, representative)
        contents = [written.read_bytes() for written in files]
        difference = _compared(contents[0], feed, expected, tolerance)
        measured = [None, None]
        if runs:
            batch = {name: x[: rows or 1] for name, x in feed.items()}
            measured[: len(files)] = running.latencies(contents, batch, runs)
        size, dense = [*map(sizes, contents), (None,) * 3][:2]
        tensors = tuple(stored_tensors(contents[0]))
        file.replace(path)
    return ExportReport(
        path=path,
        quantize=quantize,
        size=size[0],
        gzip_size=size[1],
        zstd_size=size[2],
        dense_size=dense[0],
        dense_gzip_size=dense[1],
        dense_zstd_size=dense[2],
        sparsity=sparsity,
        tensors=tensors,
        max_difference=difference,
        runs=runs,
        rows=rows or 1,
        latency=measured[0],
        dense_latency=measured[1],
    )


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


def _compared(content, feed, expected, tolerance):
    try:
        outputs = running.run(content, feed)
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
    return difference


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


def _checked_quantize(quantize, representative):
    """The kind, of which a bool is an older name."""
    if isinstance(quantize, bool):
        quantize = "dynamic" if quantize else None
    if not isinstance(quantize, str | None) or quantize not in TOLERANCE:
        raise ValueError(
            'Argument `quantize` must be None, "float16", "dynamic" (or True) '
            f'or "int8". Received: quantize={quantize!r}'
        )
    if (quantize == "int8") != (representative is not None):
        raise ValueError(
            'Argument `representative` must be given for `quantize="int8"`, '
            "or nothing tells the range of activations, and for nothing else, "
            f"which has no use for it. Received: quantize={quantize!r} and "
            f"representative={_shown(representative)}"
        )
    return quantize


def _shown(value):
    return None if value is None else f"<{type(value).__name__}>"


def _checked_tolerance(tolerance, quantize):
    if tolerance is None:
        return TOLERANCE[quantize]
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
