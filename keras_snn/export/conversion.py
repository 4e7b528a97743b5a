"""Converting Keras models to TFLite, and running such files.

Only TensorFlow converts. On another backend the model is saved, and a process
of its own loads it with TensorFlow and converts it there.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import warnings
import zipfile

import keras

from keras_snn.export import inputs
from keras_snn.extras import missing
from keras_snn.masking.keras_private import flattened_layers

SPARSE = ("EXPERIMENTAL_SPARSITY",)
INT8 = ("DEFAULT",)
_STANDARD_ERROR = threading.Lock()


def check_installed():
    """Raises ImportError if what converts or runs a file is missing or old."""
    if tuple(map(int, keras.__version__.split(".")[:2])) < (3, 13):
        raise ImportError(
            "Export to TFLite needs Keras 3.13 or newer, and that Python 3.11: "
            f"pip install 'keras>=3.13'. Received: Keras {keras.__version__}"
        )
    for module in ("tensorflow", "ai_edge_litert"):
        if importlib.util.find_spec(module) is None:
            raise missing(module, "Export to TFLite, on any backend,")


def convert(model, signature, files, folder):
    """Writes a model to TFLite files.

    Args:
        model: A built Keras model without masks.
        signature: What `inputs.signature` returned.
        files: Mapping of path, ending in `.tflite`, to the names of the
            `tf.lite.Optimize` members to apply.
        folder: An existing folder for temporary files, a `pathlib.Path`.

    Raises:
        RuntimeError: If the model cannot be converted.
    """
    if keras.backend.backend() == "tensorflow":
        try:
            with _quiet():
                _convert(model, signature, files)
        except Exception as error:
            raise _failure(model, _reason(error)) from error
    else:
        _convert_elsewhere(model, signature, files, folder)


def run(content, arrays):
    """Runs a TFLite file.

    Args:
        content: The file's bytes.
        arrays: Mapping of input name to array.

    Returns:
        A dict of output name to array, and the number of tensors that the file
        stores sparse.
    """
    from ai_edge_litert.interpreter import Interpreter

    with _quiet():
        interpreter = Interpreter(model_content=content)
        outputs = interpreter.get_signature_runner()(**arrays)
    sparse = sum(
        bool(tensor["sparsity_parameters"])
        for graph in range(interpreter.num_subgraphs())
        for tensor in interpreter.get_tensor_details(graph)
    )
    return outputs, sparse


def _convert(model, signature, files):
    import tensorflow as tf

    specs = [keras.InputSpec(**spec) for spec in signature]
    for path, optimizations in files.items():
        model.export(
            path,
            format="litert",
            verbose=False,
            input_signature=[inputs.packed(model, specs)],
            optimizations=[tf.lite.Optimize[name] for name in optimizations],
            # Keras would fall back on TensorFlow's own operations, which the
            # runtime of a device does not have.
            target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        )


def _convert_elsewhere(model, signature, files, folder):
    _check_importable(model)
    saved = str(folder / "model.keras")
    with warnings.catch_warnings():
        # That lambdas load on demand only: here, they are the user's own.
        warnings.filterwarnings("ignore", ".*includes a `lambda`", UserWarning)
        model.save(saved)
    files = {str(path): optimizations for path, optimizations in files.items()}
    job = json.dumps([saved, signature, files])
    process = subprocess.run(
        [sys.executable, "-c", f"import {__name__} as t; t.main()"],
        input=job,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",  # This process may fill the GPU.
            "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path),
        },
    )
    if process.returncode:
        reason = process.stdout.strip() or process.stderr.strip()[-1500:]
        raise _failure(model, reason)


def main():
    """Does the job on standard input: `_convert`, of a saved model."""
    saved, signature, files = json.load(sys.stdin)
    try:
        _import_modules_of(saved)
        model = keras.saving.load_model(saved, compile=False, safe_mode=False)
        _convert(model, signature, files)
    except Exception as error:
        print(_reason(error))
        sys.exit(1)


def _import_modules_of(saved):
    """Imports the modules that register the custom classes of a model."""
    with zipfile.ZipFile(saved) as archive:
        config = archive.read("config.json")
    parts = []
    json.loads(config, object_hook=parts.append)
    for module in [p.get("module") for p in parts if "registered_name" in p]:
        if module:
            with contextlib.suppress(ImportError):  # Keras will tell.
                importlib.import_module(module)


def _check_importable(model):
    for layer in flattened_layers(model):
        if type(layer).__module__ == "__main__":
            raise ValueError(
                "On the JAX and torch backends, a process of its own converts "
                "a model, which cannot import the classes of a script: move "
                "them to a module, and register them with Keras. "
                f"Received: layer {layer.name!r}, a __main__."
                f"{type(layer).__name__}"
            )


def _reason(error):
    """The innermost error: Keras and TensorFlow wrap it in long texts."""
    while error.__context__:
        error = error.__context__
    return f"{type(error).__name__}: {str(error).strip()[:500]}"


def _failure(model, reason):
    return RuntimeError(
        "A model can be exported if TFLite has all of its operations: in "
        "float32 only, and for recurrent layers with a fixed `batch_size`. "
        f"Received: model {model.name!r}, which fails with {reason}"
    )


@contextlib.contextmanager
def _quiet():
    """Holds back what TensorFlow's C++ writes to standard error.

    One thread at a time: standard error is the process's.
    """
    with _STANDARD_ERROR:
        saved = os.dup(2)
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
