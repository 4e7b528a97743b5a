"""Converting Keras models to TFLite.

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
import warnings
import zipfile

import keras
import numpy as np

from keras_snn.export import inputs
from keras_snn.export.precision import in_float32
from keras_snn.export.running import quiet
from keras_snn.extras import missing
from keras_snn.masking.keras_private import flattened_layers

# What each kind of file asks of the converter, as `tf.lite.Optimize` has it.
# Of the kinds that quantize, LiteRT's default delegate runs float16 sparse.
OPTIMIZATIONS = {
    "dense": (),
    "sparse": ("EXPERIMENTAL_SPARSITY",),
    "float16": ("DEFAULT", "EXPERIMENTAL_SPARSITY"),
    "float16 dense": ("DEFAULT",),
    "dynamic": ("DEFAULT",),
    "int8": ("DEFAULT",),
}


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


def convert(model, signature, files, folder, representative=None):
    """Writes a model to TFLite files.

    Args:
        model: A built Keras model without masks.
        signature: What `inputs.signature` returned.
        files: Mapping of path, ending in `.tflite`, to the kind of the file, a
            key of `OPTIMIZATIONS`.
        folder: An existing folder for temporary files, a `pathlib.Path`.
        representative: Arrays of as many rows, one an input, which tell the
            range of each activation: what kind `"int8"` needs.

    Raises:
        RuntimeError: If the model cannot be converted.
    """
    with in_float32(model):
        if keras.backend.backend() == "tensorflow":
            try:
                with quiet():
                    _convert(model, signature, files, representative)
            except Exception as error:
                raise _failure(model, _reason(error)) from error
        else:
            _convert_elsewhere(model, signature, files, folder, representative)


def _convert(model, signature, files, representative):
    specs = [keras.InputSpec(**spec) for spec in signature]
    for path, kind in files.items():
        with warnings.catch_warnings():
            # TensorFlow warns of what it calibrates int8 with itself.
            deprecated = ".*tf.lite.Interpreter is deprecated"
            warnings.filterwarnings("ignore", deprecated)
            model.export(
                path,
                format="litert",
                verbose=False,
                input_signature=[inputs.packed(model, specs)],
                **_converter_options(kind, signature, representative),
            )


def _converter_options(kind, signature, representative):
    import tensorflow as tf

    # Keras would fall back on TensorFlow's own operations, which the runtime
    # of a device does not have.
    operations = "TFLITE_BUILTINS_INT8" if kind == "int8" else "TFLITE_BUILTINS"
    target = {"supported_ops": [getattr(tf.lite.OpsSet, operations)]}
    options = {"target_spec": target}
    options["optimizations"] = [
        tf.lite.Optimize[name] for name in OPTIMIZATIONS[kind]
    ]
    if kind.startswith("float16"):
        target["supported_types"] = [tf.float16]
    if kind == "int8":
        options["representative_dataset"] = lambda: inputs.batches(
            signature, representative
        )
    return options


def _convert_elsewhere(model, signature, files, folder, representative):
    _check_importable(model)
    saved = str(folder / "model.keras")
    with warnings.catch_warnings():
        # That lambdas load on demand only: here, they are the user's own.
        warnings.filterwarnings("ignore", ".*includes a `lambda`", UserWarning)
        model.save(saved)
    files = {str(path): kind for path, kind in files.items()}
    arrays = None
    if representative is not None:
        arrays = str(folder / "representative.npz")
        np.savez(arrays, *representative)
    job = json.dumps([saved, signature, files, arrays])
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
    saved, signature, files, arrays = json.load(sys.stdin)
    try:
        representative = arrays and list(np.load(arrays).values())
        _import_modules_of(saved)
        model = keras.saving.load_model(saved, compile=False, safe_mode=False)
        _convert(model, signature, files, representative)
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
        "A model can be exported if TFLite has all of its operations, and for "
        '`quantize="int8"` has them in int8: in float32 only, and for '
        "recurrent layers with a fixed `batch_size`. "
        f"Received: model {model.name!r}, which fails with {reason}"
    )
