"""ONNX files of sparse models.

ONNX has sparse initializers, but runtimes hardly use them: ONNX Runtime 1.32
loads such files, and is no faster for them. So kernels are stored dense, zeros
and all, for compression to find.
"""

import importlib.util
import logging
import pathlib
import statistics
import tempfile
import time
import warnings

import keras
import numpy as np

from keras_snn.checks import check_built
from keras_snn.checks import check_integer
from keras_snn.conversion import strip
from keras_snn.export import inputs
from keras_snn.export import proof
from keras_snn.export.precision import in_float32
from keras_snn.export.report import ExportReport
from keras_snn.export.running import quiet
from keras_snn.export.sizes import sizes
from keras_snn.export.stored import StoredTensor
from keras_snn.extras import missing
from keras_snn.extras import require
from keras_snn.files import written
from keras_snn.masking.mask_state import has_masks

TOLERANCE = 1e-3
CONVERTERS = {
    "tensorflow": ("tf2onnx",),
    "torch": ("onnxscript",),
    "jax": ("jax2onnx",),
}


def export_onnx(
    model,
    path,
    *,
    batch_size=None,
    samples=None,
    tolerance=None,
    runs=20,
    seed=0,
):
    """Writes a model to an ONNX file, its zeros baked in.

    Keras converts (`model.export(format="onnx")`), with tf2onnx on TensorFlow,
    torch.onnx on PyTorch, and jax2onnx on JAX. The file is run with ONNX
    Runtime, and its outputs are compared with the model's, before it appears
    at `path`; on any error, `path` stays as it was. Layers of mixed precision
    are written as they compute in float32. Kernels are stored dense:
    the file is as large as that of a dense model, smaller once compressed, and
    no faster. Channels that are removed make it both: see
    `strip(model, shrink=True)`.

    Args:
        model: A built Keras model, with masks or layers that compute sparse
            (it is stripped), or without.
        path: Where to write, ending in `.onnx`; a file there is replaced.
        batch_size: Rows of every batch that the file takes. Defaults to that
            of the model's inputs, which may be any.
        samples: Inputs to compare outputs on, as the model takes them, of
            shape (rows, ...). Defaults to a few drawn uniformly from [0, 1),
            or from {0, 1} where inputs are integers. A subclassed model needs
            them, and may have one input only.
        tolerance: Largest difference of outputs that is allowed, as a fraction
            of each output's largest absolute value, >= 0. Defaults to 1e-3.
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
        ImportError: If onnx, onnxruntime or the backend's converter is missing.

    Example:

    ```python
    print(keras_snn.export_onnx(model, "model.onnx"))
    ```
    """
    path = proof.checked_path(path, ".onnx")
    tolerance = proof.checked_tolerance(tolerance, TOLERANCE)
    if batch_size is not None:
        check_integer("batch_size", batch_size, 1, "which the file is for")
    check_integer("runs", runs, 0, "which latency is the median of")
    check_integer("seed", seed, 0, "which random draws derive from")
    check_built(model)
    _check_installed()
    sparsity = proof.fraction_of_zeros(model)
    if has_masks(model):
        model = strip(model)
    signature = inputs.signature(model, samples, batch_size)
    arrays = inputs.sample_arrays(model, signature, samples, seed)
    expected = list(inputs.outputs(model, arrays).values())
    rows = signature[0]["shape"][0] or 1
    # Not beside the path, where one that is killed would leave it.
    with tempfile.TemporaryDirectory(prefix="onnx_") as tmp:
        file = pathlib.Path(tmp) / "file.onnx"
        _convert(model, signature, file)
        try:
            session = _session(file)
            outputs = session.run(None, _feed(session, arrays))
        except Exception as error:
            raise RuntimeError(
                "An exported file must run with ONNX Runtime, or it is of no "
                "use. Received: a file that was converted, but fails with "
                f"{error}"
            ) from error
        difference = proof.checked_difference(outputs, expected, tolerance)
        batch = _feed(session, [x[:rows] for x in arrays])
        latency = _latency(session, batch, runs) if runs else None
        content = file.read_bytes()
        tensors = tuple(_stored_tensors(content))
        with written(path) as temporary:
            temporary.write_bytes(content)
    size, gzip_size, zstd_size = sizes(content)
    return ExportReport(
        path=path,
        quantize=None,
        size=size,
        gzip_size=gzip_size,
        zstd_size=zstd_size,
        dense_size=None,
        dense_gzip_size=None,
        dense_zstd_size=None,
        sparsity=sparsity,
        tensors=tensors,
        runtime="ONNX Runtime computes all kernels dense: zeros make it no "
        "faster.",
        max_difference=difference,
        runs=runs,
        rows=rows,
        latency=latency,
        dense_latency=None,
    )


def _check_installed():
    backend = keras.backend.backend()
    for module in ("onnx", "onnxruntime", *CONVERTERS.get(backend, ())):
        if importlib.util.find_spec(module) is None:
            raise missing(module, f"Export to ONNX on the {backend} backend")


def _convert(model, signature, file):
    specs = [keras.InputSpec(**spec) for spec in signature]
    options = {"input_signature": [inputs.packed(model, specs)]}
    logging.disable(logging.WARNING)
    try:
        with in_float32(model), quiet(), warnings.catch_warnings():
            # Those of the converters, on their own code.
            warnings.simplefilter("ignore")
            model.export(str(file), format="onnx", verbose=False, **options)
    except Exception as error:
        raise RuntimeError(
            "A model can be exported if the converter of its backend has all "
            f"of its operations. Received: model {model.name!r} on the "
            f"{keras.backend.backend()} backend, which fails with "
            f"{type(error).__name__}: {str(error).strip()[:500]}"
        ) from error
    finally:
        logging.disable(logging.NOTSET)


def _session(file):
    runtime = require("onnxruntime", "Export to ONNX")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(
        str(file), options, providers=["CPUExecutionProvider"]
    )


def _feed(session, arrays):
    """Arrays by the names of the file's inputs, which are in their order."""
    names = [given.name for given in session.get_inputs()]
    return dict(zip(names, arrays, strict=True))


def _latency(session, batch, runs):
    """Seconds of one batch: the median of several runs, after one."""
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        session.run(None, batch)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def _stored_tensors(content):
    """The initializers of an ONNX file, `StoredTensor`s, largest first."""
    onnx = require("onnx", "Export to ONNX")
    graph = onnx.load_model_from_string(content).graph
    tensors = []
    for tensor in graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        active = int(np.count_nonzero(array))
        dtype = array.dtype.name
        tensors.append(
            StoredTensor(
                tensor.name, array.shape, dtype, False, active, array.nbytes
            )
        )
    return sorted(tensors, key=lambda tensor: -tensor.bytes)
