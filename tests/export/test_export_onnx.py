"""ONNX files of sparse models, run with ONNX Runtime."""

import importlib.util
import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn.export import onnx as of_onnx
from keras_snn.export.__main__ import main
from keras_snn.masking.mask_state import masked_weights

BACKEND = keras.backend.backend()
MODULES = ("onnx", "onnxruntime", *of_onnx.CONVERTERS[BACKEND])
converts = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, MODULES)),
    reason=f"needs {', '.join(MODULES)}",
)


def net():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    return keras_snn.sparsify(model, 0.9)


@converts
def test_file_gives_the_models_outputs_and_keeps_its_zeros(
    tmp_path, monkeypatch
):
    import onnxruntime

    model, path = net(), tmp_path / "model.onnx"
    report = keras_snn.export_onnx(model, path, runs=2)
    assert [*tmp_path.iterdir()] == [path]
    assert report.size == path.stat().st_size
    assert report.gzip_size < report.size / 3
    assert report.max_difference < 1e-5
    assert 0 < report.latency < 1
    active = {
        masked.size: int(np.count_nonzero(keras_snn.get_masks(model)[name]))
        for name, masked in masked_weights(model).items()
    }
    stored = {
        np.prod(tensor.shape): tensor.active
        for tensor in report.tensors
        if np.prod(tensor.shape) in active
    }
    assert stored == active
    assert "computes all kernels dense" in str(report)
    x = np.random.default_rng(1).random((5, 8, 8, 3), dtype="float32")
    session = onnxruntime.InferenceSession(str(path))
    (given,) = session.run(None, {session.get_inputs()[0].name: x})
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(given, expected, atol=1e-5)
    monkeypatch.setattr(of_onnx.inputs, "outputs", lambda *_: {"y": given + 1})
    with pytest.raises(RuntimeError, match="must be those of the Keras model"):
        keras_snn.export_onnx(model, path)
    assert path.stat().st_size == report.size


@converts
def test_mixed_precision_is_written_in_float32(tmp_path):
    layer = layers.Dense(3, dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input((8,)), layer])
    report = keras_snn.export_onnx(model, tmp_path / "model.onnx", runs=0)
    assert report.max_difference < 1e-5
    assert layer.dtype_policy.name == "mixed_bfloat16"


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"backend needs onnx, .*pip install"):
        keras_snn.export_onnx(net(), tmp_path / "model.onnx")
    assert not [*tmp_path.iterdir()]


def test_failure_of_the_converter(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise ValueError("no such operation")

    monkeypatch.setattr(of_onnx, "_check_installed", lambda: None)
    monkeypatch.setattr(keras.Model, "export", fail)
    with pytest.raises(RuntimeError, match="ValueError: no such operation"):
        keras_snn.export_onnx(net(), tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="a file that ends in .onnx"):
        keras_snn.export_onnx(net(), tmp_path / "model.tflite")
    assert not [*tmp_path.iterdir()]


def test_command_line(tmp_path, monkeypatch, capsys):
    given = []
    monkeypatch.setattr(
        sys.modules["keras_snn.export.__main__"],
        "export_onnx",
        lambda model, out, **options: given.append((out, options)),
    )
    monkeypatch.chdir(tmp_path)
    keras.Sequential([keras.Input((4,)), layers.Dense(2)]).save("m.keras")
    assert main(["m.keras", "out.onnx", "--runs", "3"]) == 0
    assert given == [("out.onnx", {"runs": 3})]
    assert main(["m.keras", "out.onnx", "--quantize", "float16"]) == 2
    assert "Received: --quantize" in capsys.readouterr().err
