import concurrent.futures
import gzip
import importlib
import math
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.interpreter import OpResolverType
from keras import layers

import keras_snn
from keras_snn.export import conversion
from keras_snn.export import export_tflite

CUSTOM_LAYER = """
import keras

@keras.saving.register_keras_serializable(package="export_test")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""

# In this process, export takes a second; elsewhere, a process of its own.
here = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="knows no backend but TensorFlow, which converts",
)

elsewhere = pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="converts in this process"
)


def dense_net(*units, inputs=64, **kwargs):
    return keras.Sequential(
        [keras.Input((inputs,)), *(layers.Dense(n, **kwargs) for n in units)]
    )


def run(path, x):
    interpreter = Interpreter(model_path=str(path))
    (given,), (wanted,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(wanted["index"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A sparse conv net of 200k weights, and the report of its export."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        (folder / "modules").mkdir()
        (folder / "modules/export_test.py").write_text(CUSTOM_LAYER)
        patch.syspath_prepend(folder / "modules")
        doubled = importlib.import_module("export_test").Doubled
        model = keras.Sequential(
            [
                keras.Input((16, 16, 3), name="image of 16x16"),
                layers.Conv2D(32, 3, padding="same", use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.MaxPooling2D(),
                layers.Conv2D(64, 3, padding="same", activation="relu"),
                doubled(),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(170, activation="relu"),
                layers.Dense(10),
            ]
        )
        statistics = np.random.default_rng(0).random((4, 32))
        model.layers[1].set_weights(0.5 + statistics)
        model = keras_snn.sparsify(model, 0.9, masks="random")
        path = folder / "files/model.tflite"
        path.parent.mkdir()
        report = export_tflite(model, path)
    return model, report


def test_sparse_file_is_small_and_gives_the_models_outputs(exported):
    model, report = exported
    assert 190_000 < keras_snn.strip(model).count_params() < 210_000
    assert report.size <= report.dense_size / 3
    assert report.sparse_tensors >= 3
    x = np.random.default_rng(1).random((5, 16, 16, 3), dtype="float32")
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(
        run(report.path, x), expected, atol=1e-5 * np.abs(expected).max()
    )


@here
def test_layers_that_compute_sparse_are_stripped(tmp_path):
    model = keras.Sequential(
        [keras.Input((64,)), keras_snn.SparseDense(128, 0.9), layers.Dense(4)]
    )
    report = export_tflite(model, tmp_path / "model.tflite")
    assert report.sparsity == pytest.approx(0.9, abs=1e-3)
    assert report.sparse_tensors >= 1


def test_report_tells_what_was_written(exported):
    model, report = exported
    content = report.path.read_bytes()
    assert report.size == len(content)
    assert report.gzip_size == len(gzip.compress(content))
    assert report.dense_gzip_size < report.dense_size
    assert report.sparsity == pytest.approx(keras_snn.sparsity(model))
    assert 0 <= report.max_difference < 1e-5
    text = str(report)
    assert str(report.path) in text
    assert f"{report.size:,} bytes" in text
    assert f"{report.dense_size:,} bytes" in text
    assert "sparsity 0.9000" in text
    assert [*report.path.parent.iterdir()] == [report.path]


def converted_to(monkeypatch, write):
    def convert(model, signature, files, folder):
        for file in files:
            write(file)

    monkeypatch.setattr(conversion, "convert", convert)


@pytest.mark.parametrize("before", [None, b"an older file"])
def test_file_with_other_outputs_is_not_left(
    exported, tmp_path, monkeypatch, before
):
    model, report = exported
    converted_to(monkeypatch, lambda file: shutil.copy(report.path, file))
    path = tmp_path / "model.tflite"
    if before:
        path.write_bytes(before)
    bias = keras_snn.strip(model).layers[-1].bias
    bias.assign(bias + 0.1)
    try:
        with pytest.raises(RuntimeError, match=r"must be those of the Keras"):
            export_tflite(model, path)
        export_tflite(model, tmp_path / "tolerant.tflite", tolerance=1e3)
    finally:
        bias.assign(bias - 0.1)
    (tmp_path / "tolerant.tflite").unlink()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before] * bool(
        before
    )


def test_file_that_does_not_run_is_not_left(exported, tmp_path, monkeypatch):
    converted_to(monkeypatch, lambda file: file.write_bytes(b"no model"))
    with pytest.raises(RuntimeError, match="converted, but fails"):
        export_tflite(exported[0], tmp_path / "model.tflite")
    assert not [*tmp_path.iterdir()]


@elsewhere
def test_failure_of_the_other_process(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(
            command, 1, "", "Unknown layer: 'Mine'"
        ),
    )
    with pytest.raises(RuntimeError, match="fails with Unknown layer: 'Mine'"):
        export_tflite(exported[0], tmp_path / "model.tflite")
    assert not [*tmp_path.iterdir()]


@elsewhere
def test_layer_of_a_script(tmp_path):
    class Mine(layers.Layer):
        def call(self, x):
            return x

    Mine.__module__ = "__main__"
    model = keras.Sequential([keras.Input((8,)), Mine()])
    with pytest.raises(ValueError, match="a __main__.Mine"):
        export_tflite(model, tmp_path / "model.tflite")
    assert not [*tmp_path.iterdir()]


@here
def test_dense_model(tmp_path):
    report = export_tflite(dense_net(128, 10), tmp_path / "model.tflite")
    assert report.sparse_tensors == 0
    assert report.sparsity == 0
    assert report.size == pytest.approx(report.dense_size, abs=100)


@here
def test_dense_size_is_optional(tmp_path):
    report = export_tflite(
        dense_net(8), tmp_path / "model.tflite", compare_dense=False
    )
    assert report.dense_size is report.dense_gzip_size is None
    assert "dense: " not in str(report)


@here
def test_quantized(tmp_path):
    model = keras_snn.sparsify(dense_net(256, 256, 10), 0.9)
    report = export_tflite(model, tmp_path / "model.tflite", quantize=True)
    assert report.size < report.dense_size / 3
    assert report.gzip_size < report.dense_gzip_size / 2
    assert 0 < report.max_difference < 0.1


@here
def test_quantized_sparse_file_is_caught(tmp_path, monkeypatch):
    # LiteRT's default delegate refuses it: once it does not, let `quantize`
    # store kernels sparse, too.
    both = conversion.SPARSE + conversion.INT8
    monkeypatch.setattr(conversion, "SPARSE", both)
    model = keras_snn.sparsify(dense_net(256, 256, 10), 0.9)
    with pytest.raises(RuntimeError, match="failed to prepare"):
        export_tflite(model, tmp_path / "model.tflite")
    assert not [*tmp_path.iterdir()]


@here
def test_training_goes_on_after_an_export(tmp_path):
    model = keras_snn.sparsify(dense_net(16, 1), 0.5)
    model.compile("adam", "mse")
    x = np.ones((4, 64), "float32")
    model.fit(x, x[:, :1], verbose=0)
    export_tflite(model, tmp_path / "model.tflite")
    model.fit(x, x[:, :1], verbose=0)
    assert keras_snn.sparsity(model) == pytest.approx(0.5, abs=1e-3)


@here
def test_masked_layer_inside_a_model(tmp_path):
    inputs = keras.Input((64,))
    wide = layers.Dense(64, name="wide")
    wide.build((None, 64))
    hidden = keras_snn.MaskedLayer(wide)(inputs)
    model = keras.Model(inputs, layers.Dense(3)(hidden))
    mask = np.arange(64 * 64).reshape(64, 64) % 10 == 0
    keras_snn.set_masks(model, {"wide/kernel": mask})
    report = export_tflite(model, tmp_path / "model.tflite")
    assert report.sparse_tensors == 1
    assert report.sparsity == pytest.approx(0.9, abs=1e-3)


@here
def test_structures_of_inputs_and_outputs(tmp_path):
    pixels = keras.Input((8,), name="pixels")
    words = keras.Input((5,), dtype="int32", name="words")
    embedded = layers.Flatten()(layers.Embedding(2, 3)(words))
    joint = layers.Concatenate()([pixels, embedded])
    model = keras.Model(
        {"pixels": pixels, "words": words},
        {"b": layers.Dense(2)(joint), "a": layers.Dense(3)(joint)},
    )
    path = tmp_path / "model.tflite"
    assert export_tflite(model, path).max_difference < 1e-5
    signature = Interpreter(model_path=str(path)).get_signature_list()
    assert signature["serving_default"]["inputs"] == ["pixels", "words"]
    samples = {"words": np.ones((3, 5), int), "pixels": np.ones((3, 8))}
    assert export_tflite(model, path, samples=samples).max_difference < 1e-5
    listed = keras.Model([words, pixels], [layers.Dense(2)(joint), joint])
    assert export_tflite(listed, path).max_difference < 1e-5
    with pytest.raises(ValueError, match="as many rows each"):
        export_tflite(listed, path, samples=[np.ones((3, 5)), np.ones((2, 8))])
    with pytest.raises(ValueError, match="arrays of the shapes"):
        export_tflite(listed, path, samples=np.ones((3, 5)))


@here
def test_the_files_kernels_have_the_pattern_along_their_last_axis(tmp_path):
    """That is input channels, where kernels of the runtime look for it."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 16)),
            layers.Conv2D(12, 3, activation="relu", name="conv"),
            layers.Conv2DTranspose(8, 2, name="up"),
            layers.Flatten(),
            layers.Dense(40, name="dense"),
        ]
    )
    model = keras_snn.sparsify(model, pattern="2:4")
    path = tmp_path / "model.tflite"
    assert export_tflite(model, path).max_difference < 1e-5
    interpreter = Interpreter(
        model_path=str(path),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    interpreter.invoke()
    kernels = {}
    for details in interpreter.get_tensor_details():
        shape = tuple(details["shape"])
        if shape in {(12, 3, 3, 16), (8, 2, 2, 12), (40, 392)}:
            kernels[shape] = interpreter.get_tensor(details["index"])
    assert len(kernels) == 3
    for kernel in kernels.values():
        groups = np.count_nonzero(kernel.reshape(-1, 4), axis=1)
        np.testing.assert_array_equal(groups, 2)


@here
def test_inputs_of_any_size(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(8, 3),
            layers.GlobalAveragePooling2D(),
        ]
    )
    path = tmp_path / "model.tflite"
    with pytest.raises(ValueError, match="needs `samples`"):
        export_tflite(model, path)
    samples = keras.random.uniform((2, 9, 7, 3))
    assert export_tflite(model, path, samples=samples).max_difference < 1e-5


@here
def test_recurrent_layers_need_a_batch_size(tmp_path):
    model = keras.Sequential(
        [keras.Input((6, 8)), layers.LSTM(16), layers.Dense(3)]
    )
    model = keras_snn.sparsify(model, 0.8)
    path = tmp_path / "model.tflite"
    with pytest.raises(RuntimeError, match="a fixed `batch_size`.*Tensor"):
        export_tflite(model, path)
    assert not [*tmp_path.iterdir()]
    report = export_tflite(model, path, batch_size=1)
    assert report.sparse_tensors >= 1
    (details,) = Interpreter(model_path=str(path)).get_input_details()
    assert details["shape_signature"].tolist() == [1, 6, 8]


@here
def test_other_dtypes_are_refused(tmp_path):
    with pytest.raises(RuntimeError, match="in float32 only"):
        export_tflite(
            dense_net(8, dtype="mixed_bfloat16"), tmp_path / "model.tflite"
        )
    assert not [*tmp_path.iterdir()]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(64)
        self.out = layers.Dense(3)

    def call(self, x):
        return self.out(self.hidden(x))


@here
def test_subclassed_model(tmp_path):
    model = Subclassed()
    x = np.random.default_rng(0).random((2, 32))
    model(x)
    model = keras_snn.sparsify(model, 0.8)
    path = tmp_path / "model.tflite"
    with pytest.raises(ValueError, match="subclassed model needs `samples`"):
        export_tflite(model, path)
    assert export_tflite(model, path, samples=x).sparse_tensors >= 1


@here
def test_exports_at_once_leave_standard_error_as_it_was(tmp_path, capfd):
    def export(number):
        export_tflite(dense_net(8), tmp_path / f"{number}.tflite")

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(export, range(4)))
    os.write(2, b"heard")
    assert capfd.readouterr() == ("", "heard")


@here
def test_screen_stays_quiet(tmp_path, capfd):
    export_tflite(dense_net(8), tmp_path / "model.tflite")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"path": "model.keras"}, "ends in .tflite.*'model.keras'"),
        ({"path": "nowhere/model.tflite"}, "folder that exists.*nowhere"),
        ({"tolerance": -1}, "Received: tolerance=-1"),
        ({"tolerance": math.nan}, "Received: tolerance=nan"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"quantize": "float16"}, "must be True, for int8.*'float16'"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"samples": np.ones((2, 63))}, r"\(None, 64\).*\(2, 63\)"),
        ({"samples": np.ones(64)}, r"\(None, 64\).*\(64,\)"),
        ({"samples": np.ones((0, 64))}, r"at least 1.*\(0, 64\)"),
        ({"samples": np.ones((2, 64)), "batch_size": 3}, r"\(3, 64\)"),
        ({"samples": np.full((1, 64), np.nan)}, "must be finite"),
        ({"model": keras.Sequential([layers.Dense(3)])}, "is built"),
        ({"model": "model"}, "Received: 'model'"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = {"model": dense_net(2), "path": "m.tflite", **arguments}
    with pytest.raises(ValueError, match=message):
        export_tflite(**arguments)
    assert not [*tmp_path.iterdir()]


def test_folder_as_path(tmp_path):
    (tmp_path / "folder.tflite").mkdir()
    with pytest.raises(ValueError, match="must name a file"):
        export_tflite(dense_net(2), tmp_path / "folder.tflite")


def test_a_keras_that_writes_no_tflite_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.12.4")
    with pytest.raises(ImportError, match="Keras 3.13 .*: Keras 3.12.4$"):
        export_tflite(dense_net(2), tmp_path / "model.tflite")


def test_missing_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ImportError, match="pip install ai-edge-litert$"):
        export_tflite(dense_net(2), tmp_path / "model.tflite")
