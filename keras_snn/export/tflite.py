"""TFLite files of sparse models, from every backend.

The zeros of a plain TFLite file take as much room as any weight: pruned models
that do not shrink are an old complaint. Here kernels are stored sparse, and a
file counts as exported only after it ran and gave the model's outputs.
"""

import pathlib
import tempfile
import warnings

from keras_snn.checks import check_built
from keras_snn.checks import check_integer
from keras_snn.conversion import strip
from keras_snn.export import inputs
from keras_snn.export import proof
from keras_snn.export import running
from keras_snn.export import tflite_converter
from keras_snn.export.report import ExportReport
from keras_snn.export.sizes import sizes
from keras_snn.export.stored import stored_tensors
from keras_snn.files import written
from keras_snn.masking.mask_state import has_masks
from keras_snn.xnnpack import enough_zeros
from keras_snn.xnnpack import sparse_part

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
    takes as long as importing TensorFlow does. Layers of mixed precision are
    written, and compared, as they compute in float32.

    Sparse encoding gives a smaller file. A faster one it gives where XNNPACK,
    LiteRT's code for CPUs, computes sparse: 1x1 convolutions with more than 2/3
    zeros, in networks that are written for it (`keras_snn.xnnpack`; mask with
    `sparsify(..., policy="xnnpack")`), on ARM and in WebAssembly. On x86 it
    does so only without AVX, since with it dense code is expected to be faster
    (`xnn_is_chw_compatible_config` in its source): with AVX-512 a network of
    separable convolutions took 0.99 to 1.00 of the dense file's time at
    sparsities of 0.8 to 0.95. All other kernels it expands when it loads them.
    The report says what it makes of the model, and has the latency of both
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
    path = proof.checked_path(path, ".tflite")
    quantize = _checked_quantize(quantize, representative)
    tolerance = proof.checked_tolerance(tolerance, TOLERANCE[quantize])
    if batch_size is not None:
        check_integer("batch_size", batch_size, 1, "which the file is for")
    check_integer("runs", runs, 0, "which latency is the median of")
    check_integer("seed", seed, 0, "which random draws derive from")
    check_built(model)
    tflite_converter.check_installed()
    sparsity = proof.fraction_of_zeros(model)
    if has_masks(model):
        model = strip(model)
    kind, runtime = _kind_for_xnnpack(model, quantize)
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
    # Not beside the path, where one that is killed would leave it.
    with tempfile.TemporaryDirectory(prefix="tflite_") as tmp:
        folder = pathlib.Path(tmp)
        file, plain = folder / "file.tflite", folder / "plain.tflite"
        files = {file: kind}
        if compare_dense:
            files[plain] = "dense"
        tflite_converter.convert(
            model, signature, files, folder, representative
        )
        contents = [each.read_bytes() for each in files]
        difference = _compared(contents[0], feed, expected, tolerance)
        measured = [None, None]
        if runs:
            batch = {name: x[: rows or 1] for name, x in feed.items()}
            measured[: len(files)] = running.latencies(contents, batch, runs)
        size, dense = [*map(sizes, contents), (None,) * 3][:2]
        tensors = tuple(stored_tensors(contents[0]))
        with written(path) as temporary:
            temporary.write_bytes(contents[0])
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
        runtime=runtime,
        max_difference=difference,
        runs=runs,
        rows=rows or 1,
        latency=measured[0],
        dense_latency=measured[1],
    )


def _kind_for_xnnpack(model, quantize):
    """How to store kernels, and a line on what XNNPACK makes of that."""
    if quantize in ("dynamic", "int8"):
        return quantize, "XNNPACK computes kernels of int8 dense."
    part = sparse_part(model)
    if part.cut_off and enough_zeros(part.cut_off):
        warnings.warn(
            "XNNPACK computes a part of this network sparse that does not end "
            "as it must, and then gave wrong outputs in WebAssembly (LiteRT.js "
            "2.5.3): kernels are stored dense, which it computes right. "
            f"Received: {model.name!r}, in which {'; '.join(part.reasons[:5])}",
            stacklevel=3,
        )
        kind = "float16 dense" if quantize else "dense"
        return kind, "Stored dense, or XNNPACK would give wrong outputs."
    kind = quantize or "sparse"
    if part.kernels and enough_zeros(part.kernels):
        return kind, (
            f"XNNPACK computes {len(part.kernels)} kernels sparse on ARM and "
            "in WebAssembly; on x86 with AVX all dense, so nothing is faster."
        )
    reason = part.reasons[0]
    if part.kernels:
        reason = "its 1x1 convolutions need more than 2/3 zeros"
    return kind, f"XNNPACK computes no kernels sparse: {reason}."


def _compared(content, feed, expected, tolerance):
    try:
        outputs = running.run(content, feed)
    except Exception as error:
        raise RuntimeError(
            "An exported file must run with LiteRT's default delegate, or it "
            "is of no use. Received: a file that was converted, but fails "
            f"with {error}"
        ) from error
    given = [outputs.get(name) for name in expected]
    return proof.checked_difference(given, expected.values(), tolerance)


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
