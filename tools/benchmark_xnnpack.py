"""How much faster XNNPACK is for the zeros of a MobileNet, in WebAssembly.

Writes TFLite files of MobileNetV1, written so that XNNPACK computes its 1x1
convolutions sparse ("MobileNets", arXiv:1704.04861, with symmetric padding),
dense and at several sparsities, and runs them in turns on one thread: in
Node, with LiteRT.js, and with LiteRT on this machine's own processor.

```
npm install --prefix /tmp/litert @litertjs/core
python tools/benchmark_xnnpack.py --modules /tmp/litert/node_modules
```
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import tempfile

import keras
import numpy as np
from keras import layers

import keras_snn
from keras_snn.export import running

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
BLOCKS += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
SCRIPT = pathlib.Path(__file__).with_name("time_tflite.mjs")


def mobilenet(size, same=False):
    """MobileNetV1; with `same`, padded as in keras.applications."""

    def padded(x, kind, *args, strides=1, **options):
        padding = "same" if same or strides == 1 else "valid"
        if padding == "valid":
            x = layers.ZeroPadding2D(1)(x)
        return kind(
            *args, strides=strides, padding=padding, use_bias=False, **options
        )(x)

    def activated(x):
        x = layers.BatchNormalization(momentum=0.0)(x)
        return layers.ReLU(6.0)(x)

    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, 3), name="image")
    x = activated(padded(image, layers.Conv2D, 32, 3, strides=2))
    for filters, strides in BLOCKS:
        x = activated(padded(x, layers.DepthwiseConv2D, 3, strides=strides))
        x = activated(padded(x, layers.Conv2D, filters, 1))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(1000)(x))


def is_pointwise(layer):
    """Whether a layer is a 1x1 convolution."""
    return isinstance(layer, layers.Conv2D) and layer.kernel_size == (1, 1)


def write(folder, name, model, size):
    """Exports a model whose BatchNorm has seen one batch."""
    x = np.random.default_rng(0).random((4, size, size, 3), dtype="float32")
    model(x, training=True)
    path = folder / f"{name}.tflite"
    report = keras_snn.export_tflite(
        model, path, batch_size=1, compare_dense=False, runs=0
    )
    print(f"{name}: {report.size:,} bytes. {report.runtime}", flush=True)
    return path


def in_node(modules, rounds, files):
    """Milliseconds of each round, a dict a file."""
    command = ["node", "--no-liftoff", str(SCRIPT), modules, str(rounds)]
    done = subprocess.run(
        [*command, *map(str, files)], capture_output=True, text=True
    )
    lines = [
        json.loads(line.removeprefix("RESULT "))
        for line in done.stdout.splitlines()
        if line.startswith("RESULT ")
    ]
    if len(lines) != len(files):
        raise SystemExit(f"Node failed: {done.stdout}{done.stderr}"[-2000:])
    return lines


def table(name, times, files):
    """Prints medians of each file, and the dense file's over it."""
    medians = [statistics.median(of_file) for of_file in times]
    for file, median in zip(files, medians, strict=True):
        ratio = medians[0] / median
        print(f"{name:24} {file.stem:12} {median:8.2f} ms  {ratio:.2f}")


def main():
    """Writes the files and times them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", help="a node_modules with @litertjs/core")
    parser.add_argument("--size", type=int, default=224, help="of images")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", help="where files are kept; else nowhere")
    options = parser.parse_args()
    if options.modules and not shutil.which("node"):
        parser.error("--modules needs Node, which is not installed")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary)
        files = [write(folder, "dense", mobilenet(options.size), options.size)]
        for sparsity in (0.6, 0.7, 0.8, 0.9, 0.95):
            model = keras_snn.sparsify(
                mobilenet(options.size),
                sparsity,
                "uniform",
                policy="xnnpack",
            )
            files.append(write(folder, str(sparsity), model, options.size))
        model = keras_snn.sparsify(
            mobilenet(options.size, same=True),
            0.9,
            "uniform",
            exclude=lambda layer: not is_pointwise(layer),
        )
        files.append(write(folder, "0.9 same", model, options.size))
        if options.modules:
            found = in_node(options.modules, options.rounds, files)
            table("WebAssembly, wall", [f["wall"] for f in found], files)
            table("WebAssembly, CPU time", [f["cpu"] for f in found], files)
        contents = [file.read_bytes() for file in files]
        x = np.zeros((1, options.size, options.size, 3), "float32")
        seconds = running.latencies(contents, {"image": x}, options.rounds)
        table("this processor, wall", [[1e3 * s] for s in seconds], files)


if __name__ == "__main__":
    main()
