"""Models as files for the devices that will run them."""

from keras_snn.export.onnx import export_onnx
from keras_snn.export.report import ExportReport
from keras_snn.export.tflite import export_tflite

__all__ = ["ExportReport", "export_onnx", "export_tflite"]
