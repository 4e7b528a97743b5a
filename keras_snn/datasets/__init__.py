"""Images to train on, and their augmentation.

Every source gives images as float32 in [0, 1], channels last, that are whole
multiples of 1/255, and labels as int32.
"""

import numbers
import os

from keras_snn.checks import check_integer
from keras_snn.datasets import cifar
from keras_snn.datasets import digits
from keras_snn.datasets import tiny_imagenet
from keras_snn.datasets.augmentation import augmented
from keras_snn.datasets.source import Source
from keras_snn.datasets.source import Split
from keras_snn.datasets.source import as_float
from keras_snn.datasets.source import merged
from keras_snn.datasets.source import random_subset
from keras_snn.datasets.source import whole

__all__ = [
    "SOURCES",
    "Source",
    "Split",
    "as_float",
    "augmented",
    "load",
    "merged",
    "whole",
]

SOURCES = {
    "digits": digits.DIGITS,
    "cifar10": cifar.CIFAR10,
    "cifar100": cifar.CIFAR100,
    "tiny_imagenet": tiny_imagenet.TINY_IMAGENET,
}


def load(name, *, data_dir=None, data_ratio=1.0, hold_out=True, seed=0):
    """Train, validation and test images with their labels.

    The validation part is a tenth of the training images, as in the code of
    "Are Sparse Neural Networks Better Hard Sample Learners?" (arXiv
    2409.09196): of CIFAR's 50,000 the last 5,000 in their official order, of
    TinyImageNet's 100,000 the last 10,000 of a permutation by seed 10. Digits
    have no official parts: a stratified draw by `seed` gives a fifth to the
    test and a tenth of the rest to the validation.

    Args:
        name: `"digits"`, scikit-learn's, 8x8 enlarged to 32x32x3; `"cifar10"`
            or `"cifar100"`, 32x32x3; `"tiny_imagenet"`, 64x64x3.
        data_dir: Where the data lies. CIFAR: a file `*.npz`, a folder that
            holds `<name>.npz`, or one in which TensorFlow Datasets has
            prepared `<name>`; with `None` it downloads what it lacks. The file
            has uint8 arrays `x_train` and `x_test` of shape (images, rows,
            cols, 3) and integer arrays `y_train` and `y_test`; nothing in it
            is unpickled. TinyImageNet: `tiny-imagenet-200.zip`, read as it is,
            the folder unpacked from it, or a folder that holds either, with
            as few images a class as you like; with `None` it is downloaded,
            237 MiB, into Keras's cache. Digits come with scikit-learn and take
            no `data_dir`.
        data_ratio: Fraction in (0, 1] of the training part to keep: images
            drawn at random without replacement, in their order. A smaller
            fraction of the same seed is a subset of a larger one.
        hold_out: Whether there is a validation part. If not, it is empty, and
            its images are the last of the training part.
        seed: Int >= 0 of the random subset and of the digits' parts.

    Returns:
        A tuple `(train, validation, test)` of pairs `(x, y)`: float32 images
        of shape (images, rows, cols, 3) in [0, 1] and int32 labels.

    Raises:
        FileNotFoundError: If there is no data in `data_dir`.
        ImportError: If the package that holds or reads the data is missing.
        OSError: If the data cannot be downloaded.
        ValueError: If an argument is out of range, or a file is damaged or
            holds other arrays than it should.

    Example:

    >>> train, validation, test = load("digits", data_ratio=0.5)
    >>> train.x.shape
    (646, 32, 32, 3)
    """
    if not isinstance(name, str) or name not in SOURCES:
        raise ValueError(
            f"Argument `name` must be one of {sorted(SOURCES)}, the data that "
            f"is known. Received: name={name!r}"
        )
    if not isinstance(data_dir, str | os.PathLike | None):
        raise ValueError(
            "Argument `data_dir` must be the path of a file or folder, or "
            f"None. Received: data_dir={data_dir!r}"
        )
    if not isinstance(data_ratio, numbers.Real) or not 0 < data_ratio <= 1:
        raise ValueError(
            "Argument `data_ratio` must be in (0, 1], the fraction of the "
            f"training images to keep. Received: data_ratio={data_ratio!r}"
        )
    check_integer("seed", seed, 0, "which images are drawn by")
    parts = SOURCES[name].read(data_dir, seed)
    train, validation, test = parts if hold_out else whole(*parts)
    train = random_subset(train, data_ratio, seed)
    return as_float(train), as_float(validation), as_float(test)
