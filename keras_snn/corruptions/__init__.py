"""Common corruptions of images, as training data or to test on.

All nineteen of "Benchmarking Neural Network Robustness to Common Corruptions
and Perturbations" (arXiv 1903.12261), with the severities of CIFAR-10-C, Tiny
ImageNet-C and ImageNet-C, by seed, a batch at a time; readers of the published
CIFAR-10-C, CIFAR-100-C and Tiny ImageNet-C; and a network's errors under them,
with mCE.
"""

from keras_snn.corruptions.apply import CORRUPTIONS
from keras_snn.corruptions.apply import EXTRA_CORRUPTIONS
from keras_snn.corruptions.apply import corrupt
from keras_snn.corruptions.apply import mixed_corruptions
from keras_snn.corruptions.errors import CorruptionErrors
from keras_snn.corruptions.errors import corruption_errors
from keras_snn.corruptions.readers import load_cifar_c
from keras_snn.corruptions.readers import load_tfds_cifar10_corrupted
from keras_snn.corruptions.readers import load_tiny_imagenet_c
from keras_snn.corruptions.textures import frost_source

__all__ = [
    "CORRUPTIONS",
    "CorruptionErrors",
    "EXTRA_CORRUPTIONS",
    "corrupt",
    "corruption_errors",
    "frost_source",
    "load_cifar_c",
    "load_tfds_cifar10_corrupted",
    "load_tiny_imagenet_c",
    "mixed_corruptions",
]
