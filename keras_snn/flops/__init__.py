"""FLOPs of inference and of training, with masks and without."""

from keras_snn.flops.counting import inference_flops
from keras_snn.flops.counting import layer_densities
from keras_snn.flops.counting import training_flops
from keras_snn.flops.layers import layer_flops

__all__ = [
    "inference_flops",
    "layer_densities",
    "layer_flops",
    "training_flops",
]
