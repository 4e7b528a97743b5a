import concurrent.futures
import dataclasses
import gzip
import importlib
import json
import math
import os
import shutil
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.interpreter import OpResolverType
from keras import layers

import keras_snn
from keras_snn.export import export_tflite
from keras_snn.export import tflite_converter
from keras_snn.export.__main__ import main
from keras_snn.export.sizes import sizes

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
    assert "Sparsity 0.9000" in text
    assert [*report.path.parent.iterdir()] == [report.path]


def converted_to(monkeypatch, write):
    def convert(model, signature, files, folder, representative):
        for file in files:
            write(file)

    monkeypatch.setattr(tflite_converter, "convert", convert)


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
    def write(file):
        assert not [*tmp_path.iterdir()]  # Nothing that a kill would leave.
        file.write_bytes(b"no model")

    converted_to(monkeypatch, write)
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


# Largest difference, dtype of kernels, and whether they are stored sparse.
KINDS = {
    "float16": (2e-3, "float16", True),
    "dynamic": (0.05, "int8", False),
    "int8": (0.1, "int8", False),
}


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    return keras_snn.sparsify(dense_net(256, 256, 10), 0.9, masks="random")


@here
@pytest.mark.parametrize("kind", KINDS)
def test_quantized(net, tmp_path, kind):
    data = np.random.default_rng(0).random((32, 64), dtype="float32")
    options = {"representative": data} if kind == "int8" else {}
    path = tmp_path / "model.tflite"
    report = export_tflite(net, path, quantize=kind, runs=1, **options)
    most, dtype, sparse = KINDS[kind]
    assert 0 < report.max_difference < most
    assert report.size < report.dense_size / 3
    assert report.gzip_size < report.dense_gzip_size / 1.5
    kernels = report.tensors[:2]
    assert {t.shape for t in kernels} == {(256, 64), (256, 256)}
    assert {t.dtype for t in kernels} == {dtype}
    assert all(t.is_sparse is sparse for t in kernels)
    expected = keras.ops.convert_to_numpy(net(data))
    np.testing.assert_allclose(
        run(path, data), expected, atol=most * np.abs(expected).max()
    )


@here
def test_int8_of_several_inputs_and_batches(tmp_path):
    words = keras.Input((5,), dtype="int32", name="words")
    pixels = keras.Input((8,), name="pixels")
    joint = layers.Concatenate()(
        [layers.Flatten()(layers.Embedding(2, 3)(words)), pixels]
    )
    model = keras.Model([words, pixels], layers.Dense(2)(joint))
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 2, (12, 5)), rng.random((12, 8))]
    path = tmp_path / "model.tflite"
    options = dict(quantize="int8", compare_dense=False, runs=0)
    parts = ([x[i : i + 4] for x in rows] for i in (0, 4, 8))
    reports = [
        export_tflite(model, path, representative=data, **options)
        for data in (rows, parts)
    ]
    assert reports[0].max_difference == reports[1].max_difference < 0.1
    for few in ([], [[x[:2] for x in rows]]):
        with pytest.raises(ValueError, match="`representative` must hold one"):
            export_tflite(
                model, path, representative=few, batch_size=3, **options
            )
    with pytest.raises(ValueError, match="`representative` must be inputs"):
        export_tflite(model, path, representative=[rows[0]], **options)


@here
@pytest.mark.parametrize("kind", ["dynamic", "int8"])
def test_quantized_sparse_file_is_caught(net, tmp_path, monkeypatch, kind):
    # LiteRT's default delegate refuses it: once it does not, let this kind
    # store kernels sparse, too.
    both = ("DEFAULT", "EXPERIMENTAL_SPARSITY")
    monkeypatch.setitem(tflite_converter.OPTIMIZATIONS, kind, both)
    data = np.ones((2, 64)) if kind == "int8" else None
    with pytest.raises(RuntimeError, match="failed to prepare"):
        export_tflite(
            net,
            tmp_path / "model.tflite",
            quantize=kind,
            representative=data,
            compare_dense=False,
        )
    assert not [*tmp_path.iterdir()]


@elsewhere
def test_representative_data_reach_the_other_process(
    net, tmp_path, monkeypatch
):
    jobs = []

    def started(command, input, **_):
        *_, files, arrays = json.loads(input)
        jobs.append((sorted(files.values()), np.load(arrays)["arr_0"]))
        return subprocess.CompletedProcess(command, 1, "enough seen", "")

    monkeypatch.setattr(subprocess, "run", started)
    data = np.random.default_rng(0).random((3, 64), dtype="float32")
    with pytest.raises(RuntimeError, match="enough seen"):
        export_tflite(
            net,
            tmp_path / "model.tflite",
            quantize="int8",
            representative=iter([data[:1], data[1:]]),
        )
    ((kinds, arrived),) = jobs
    assert kinds == ["dense", "int8"]
    np.testing.assert_array_equal(arrived, data)


@here
def test_what_xnnpack_would_compute_wrong_is_stored_dense(tmp_path):
    def net(*inside):
        return keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                layers.ZeroPadding2D(1),
                layers.Conv2D(8, 3, 2),
                layers.Conv2D(64, 1),
                *inside,
                layers.GlobalAveragePooling2D(),
                layers.Dense(10),
            ]
        )

    path = tmp_path / "model.tflite"
    options = dict(compare_dense=False, runs=0)
    right = keras_snn.sparsify(net(), 0.9, policy="xnnpack")
    report = export_tflite(right, path, **options)
    assert report.sparse_tensors == 1
    assert "computes 1 kernels sparse on ARM and in Web" in str(report)
    cut = keras_snn.sparsify(net(layers.MaxPooling2D()), 0.9, masks="random")
    with pytest.warns(UserWarning, match="a MaxPooling2D, is not computed"):
        report = export_tflite(cut, path, quantize="float16", **options)
    assert report.sparse_tensors == 0
    assert "Stored dense, or XNNPACK" in str(report)


@here
def test_true_is_dynamic(net, tmp_path):
    path = tmp_path / "model.tflite"
    report = export_tflite(net, path, quantize=True, compare_dense=False)
    assert report.quantize == "dynamic"


def test_what_the_file_stores(exported):
    model, report = exported
    masks = keras_snn.get_masks(model)
    stored = {t.active: t for t in report.tensors if t.is_sparse}
    assert {int(mask.sum()) for mask in masks.values()} >= set(stored)
    assert sum(t.bytes for t in report.tensors) <= report.size
    for tensor in stored.values():
        p = 1 - tensor.sparsity
        entropy = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
        size = math.prod(tensor.shape)
        assert tensor.bound == pytest.approx(
            4 * tensor.active + size * entropy / 8, abs=1
        )
        assert tensor.bound < tensor.bytes < 4 * size
    # The values are as good as noise, so nothing gets below.
    assert report.bound < report.gzip_size < report.size


def test_tables_of_the_report(exported):
    _, report = exported
    page = report._repr_html_()
    for text in (str(report), page):
        for size in (report.size, report.gzip_size, report.dense_size):
            assert f"{size:,}" in text
        assert f"{report.bound:,}" in text
        assert f"{report.size / report.bound:.2f}" in text
        assert "median of 20 runs of 1 row," in text
        assert "smaller" in text
    assert max(map(len, str(report).splitlines()[1:])) <= 100
    assert page.count("<table>") == page.count("</table>") == 2
    assert "model.tflite" in repr(report)
    unnamed = dataclasses.replace(report, dense_size=None, latency=None)
    assert "dense /" not in str(unnamed)
    assert "atency" not in str(unnamed)


def test_latency_is_of_the_runtime(exported):
    _, report = exported
    assert report.runs == 20
    assert 1e-6 < report.latency < 1
    assert 1e-6 < report.dense_latency < 1


def test_zstandard_where_there_is_one(monkeypatch):
    for module in ("compression.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    assert sizes(bytes(1000)) == (1000, len(gzip.compress(bytes(1000))), None)
    package = types.SimpleNamespace(compress=lambda content: content[:7])
    monkeypatch.setitem(sys.modules, "zstandard", package)
    assert sizes(bytes(1000))[2] == 7


def test_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.Sequential([keras.Input((4,)), layers.Dense(2)]).save("m.keras")
    np.save("x.npy", np.ones((2, 4)))
    np.savez("x.npz", np.ones((2, 4)))
    with open("broken.keras", "w") as file:
        file.write("no model")
    for arguments, status, message in [
        ("none.keras out.tflite", 2, "`model` must name a file that exists"),
        ("x.npy out.tflite", 2, "ends in .keras"),
        ("broken.keras out.tflite", 2, "must name a model that loads"),
        ("m.keras out.h5", 2, "ends in .tflite"),
        ("m.keras out.tflite --quantize int8", 2, "`representative` must be"),
        ("m.keras out.tflite --samples no.npy", 2, "`--samples` must name"),
        ("m.keras out.tflite --samples x.npz", 2, "`--samples` must name"),
        ("m.keras out.tflite --runs -1", 2, "Received: runs=-1"),
    ]:
        assert main(arguments.split()) == status
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error
    with pytest.raises(SystemExit, match="2"):
        main("m.keras out.tflite --quantize int4".split())
    assert "invalid choice: 'int4'" in capsys.readouterr().err

    def fails(*_):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(tflite_converter, "convert", fails)
    assert main(["m.keras", "out.tflite"]) == 1
    assert "error: no such operation" in capsys.readouterr().err
    assert not (tmp_path / "out.tflite").exists()


@here
def test_command_line_writes_a_file(tmp_path, capsys):
    saved, data = tmp_path / "m.keras", tmp_path / "x.npy"
    path = tmp_path / "out.tflite"
    sparse = keras_snn.sparsify(dense_net(32, 4), 0.9)
    sparse.save(saved)
    np.save(data, np.ones((2, 64), "float32"))
    options = f"--quantize int8 --representative {data} --samples {data}"
    assert main([str(saved), str(path), *options.split(), "--runs=3"]) == 0
    assert "median of 3 runs" in capsys.readouterr().out
    assert run(path, np.ones((5, 64), "float32")).shape == (5, 4)


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
        export_tflite(dense_net(8, dtype="bfloat16"), tmp_path / "model.tflite")
    assert not [*tmp_path.iterdir()]


@here
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_written_in_float32(policy, tmp_path):
    dense, path = dense_net(8, 3, dtype=policy), tmp_path / "model.tflite"
    report = export_tflite(keras_snn.sparsify(dense, 0.8), path, runs=0)
    assert report.sparse_tensors == 2
    assert report.max_difference < 1e-5
    x = np.random.default_rng(0).random((4, 64), "float32")
    w, _, v, _ = dense.get_weights()
    np.testing.assert_allclose(run(path, x), x @ w @ v, atol=1e-5)
    assert {layer.dtype_policy.name for layer in dense.layers} == {policy}


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
        list(pool.map(export, range(2)))
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
        ({"quantize": "int4"}, "must be None.*'int4'"),
        ({"quantize": 1}, "Received: quantize=1"),
        ({"quantize": "int8"}, "`representative` must be given"),
        ({"representative": np.ones((2, 64))}, "quantize=None and .*ndarray"),
        ({"runs": -1}, "Received: runs=-1"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"samples": np.ones((2, 63))}, r"\(None, 64\).*\(2, 63\)"),
        ({"samples": np.ones(64)}, r"\(None, 64\).*\(64,\)"),
        ({"samples": np.ones((0, 64))}, r"at least 1.*\(0, 64\)"),
        ({"samples": np.ones((2, 64)), "batch_size": 3}, r"\(3, 64\)"),
        ({"samples": np.full((1, 64), np.nan)}, "must be finite"),
        ({"model": keras.Sequential([layers.Dense(3)])}, "must be built"),
        ({"model": "model"}, "Received: model='model'"),
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
