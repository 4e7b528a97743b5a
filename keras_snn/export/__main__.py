"""A TFLite or ONNX file of a saved model: `python -m keras_snn.export`.

```
python -m keras_snn.export model.keras out.tflite
python -m keras_snn.export model.keras out.tflite --quantize float16
python -m keras_snn.export model.keras out.tflite --quantize int8 \\
    --representative x.npy
python -m keras_snn.export model.keras out.onnx
```

Prints the report. Exit status: 0 if the file was written, 1 if the model
cannot be exported, 2 if an argument is wrong.
"""

import argparse
import inspect
import sys
from pathlib import Path

import keras
import numpy as np

from keras_snn.export.onnx import export_onnx
from keras_snn.export.tflite import TOLERANCE
from keras_snn.export.tflite import export_tflite


def main(arguments=None):
    """Exports the model of a file; returns the exit status."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    model, out = options.pop("model"), options.pop("out")
    given = {
        name: value for name, value in options.items() if value is not None
    }
    try:
        model = _model(model)
        for name in {"samples", "representative"} & set(given):
            given[name] = _array(name, given[name])
        print(_exporter(out, given)(model, out, **given))
    except ValueError as error:
        return _failed(error, 2)
    except (ImportError, OSError, RuntimeError) as error:
        return _failed(error, 1)
    return 0


def _exporter(out, given):
    if not out.endswith(".onnx"):
        return export_tflite
    wrong = {"quantize", "representative"} & set(given)
    if wrong:
        raise ValueError(
            "An ONNX file holds kernels in float32 only, so it cannot have "
            f"been asked for otherwise. Received: --{min(wrong)}"
        )
    return export_onnx


def _failed(error, status):
    print(f"error: {error}", file=sys.stderr)
    return status


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m keras_snn.export",
        description=inspect.cleandoc(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="the saved model, ending in .keras")
    parser.add_argument("out", help="where to write, .tflite or .onnx")
    parser.add_argument(
        "--quantize",
        choices=[kind for kind in TOLERANCE if kind],
        help="how kernels are stored (default: float32, sparse)",
    )
    parser.add_argument(
        "--representative", metavar="X.NPY", help="inputs, for int8"
    )
    parser.add_argument(
        "--samples", metavar="X.NPY", help="inputs to compare outputs on"
    )
    parser.add_argument("--batch-size", type=int, help="rows of every batch")
    parser.add_argument("--tolerance", type=float, help="of outputs")
    parser.add_argument("--runs", type=int, help="to measure latency")
    return parser


def _model(path):
    path = Path(path)
    if path.suffix != ".keras" or not path.is_file():
        raise ValueError(
            "Argument `model` must name a file that exists and ends in .keras, "
            f"as `model.save` writes it. Received: {str(path)!r}"
        )
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises what it finds.
        raise ValueError(
            "Argument `model` must name a model that loads with `import "
            "keras_snn` alone, without custom classes or lambdas of a script. "
            f"Received: {str(path)!r}, which fails with {error}"
        ) from error


def _array(name, path):
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"Argument `--{name}` must name a .npy file of one array. "
            f"Received: {path!r}, which fails with {error}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
