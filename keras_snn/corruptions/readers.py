"""Readers of the published test sets of Hendrycks & Dietterich.

"Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", https://arxiv.org/abs/1903.12261: CIFAR-10-C and CIFAR-100-C as
files, in the order of the clean test set; CIFAR-10-C as a tfds set, in an order
of its own; Tiny ImageNet-C as JPEGs, in the order of classes. All have 10,000
test images at severities 1 to 5.
"""

import pathlib
import re

import numpy as np

from keras_snn.corruptions.apply import CORRUPTIONS
from keras_snn.corruptions.apply import EXTRA_CORRUPTIONS
from keras_snn.corruptions.checks import check_choice
from keras_snn.datasets.file_tree import file_tree
from keras_snn.datasets.tiny_imagenet import CLASSES
from keras_snn.datasets.tiny_imagenet import by_number
from keras_snn.datasets.tiny_imagenet import decoded
from keras_snn.extras import require

_LEVELS = 5
_TFDS_NAMES = {
    "glass_blur": "frosted_glass_blur",
    "elastic_transform": "elastic",
}


def load_cifar_c(folder, corruption, severity):
    """Read one corruption of a CIFAR-10-C or CIFAR-100-C folder.

    The folder has one `<corruption>.npy` a corruption, of shape
    (5 n, height, width, 3): severity s in rows (s - 1) n to s n; and
    `labels.npy`, of shape (5 n,). In the published sets n is 10,000.

    Args:
        folder: Path of the unpacked archive.
        corruption: Name from `CORRUPTIONS` or `EXTRA_CORRUPTIONS`.
        severity: Int, 1 to 5.

    Returns:
        Images, uint8 (n, height, width, 3), and labels, int64 (n,).

    Raises:
        ValueError: If a file is truncated or has another layout. A damaged
            pixel is not found: the files have no checksum.
        FileNotFoundError: If a file is missing.

    Example:

    ```python
    x, y = load_cifar_c("CIFAR-10-C", "fog", severity=3)
    ```
    """
    _check(corruption, severity)
    folder = pathlib.Path(folder)
    images = _open(folder / f"{corruption}.npy")
    labels = _open(folder / "labels.npy")
    stacked = images.ndim == 4 and images.shape[-1] == 3
    if not stacked or images.dtype != np.uint8 or len(images) % _LEVELS:
        raise ValueError(
            f"{corruption}.npy must be a uint8 array (5 n, height, width, 3), "
            "five severities of the same n images, or rows of one would count "
            f"as another's. Received: shape {images.shape}, {images.dtype}"
        )
    whole = np.issubdtype(labels.dtype, np.integer)
    if labels.shape != images.shape[:1] or not whole:
        raise ValueError(
            f"labels.npy must hold {len(images)} ints, one a row of "
            f"{corruption}.npy, or images and labels do not belong together. "
            f"Received: shape {labels.shape}, {labels.dtype}"
        )
    n = len(images) // _LEVELS
    if (labels.reshape(_LEVELS, n) != labels[:n]).any():
        raise ValueError(
            "labels.npy must hold the same labels for each of the five "
            "severities, which are of the same images, or some are wrong. "
            f"Received: others in {folder}"
        )
    rows = slice((severity - 1) * n, severity * n)
    return np.array(images[rows]), np.array(labels[rows], np.int64)


def load_tiny_imagenet_c(folder, corruption, severity):
    """Read one corruption of a Tiny ImageNet-C folder, at one severity.

    The folder has `<corruption>/<severity>/<WordNet id>/<image>.JPEG`, images
    of 64x64 pixels. A label is the place of its id among the sorted ids, as in
    `keras_snn.datasets.load("tiny_imagenet")`. Needs Pillow.

    The images were made from those of ImageNet anew, so that their order is
    not that of the clean test images, and saved as JPEGs once more, which
    `corrupt` does not.

    Args:
        folder: Path of the unpacked archive.
        corruption: Name from `CORRUPTIONS` or `EXTRA_CORRUPTIONS`.
        severity: Int, 1 to 5.

    Returns:
        Images, uint8 (n, 64, 64, 3), class after class, and labels, int64 (n,).

    Raises:
        ValueError: If a class or some of its images are missing, or a file is
            no JPEG of that size.
        FileNotFoundError: If the folder has not this corruption and severity.

    Example:

    ```python
    x, y = load_tiny_imagenet_c("Tiny-ImageNet-C", "fog", severity=3)
    ```
    """
    _check(corruption, severity)
    place = pathlib.Path(folder) / corruption / str(severity)
    if not place.is_dir():
        raise FileNotFoundError(
            "A Tiny ImageNet-C folder must hold <corruption>/<severity>/"
            "<WordNet id>/<image>.JPEG, as the archive unpacks. Received: no "
            f"folder {place}"
        )
    with file_tree(place) as tree:
        x, y = decoded(tree, _files_by_class(tree))
    return x, y.astype(np.int64)


def load_published(folder, corruption, severity):
    """As `load_cifar_c` or `load_tiny_imagenet_c`, by what the folder holds."""
    folder = pathlib.Path(folder)
    if any(folder.glob("*.npy")):
        return load_cifar_c(folder, corruption, severity)
    if not any(folder.glob("*/[1-5]")):
        raise FileNotFoundError(
            "Argument `folder` must hold labels.npy and <corruption>.npy, as "
            "CIFAR-10-C and CIFAR-100-C do, or <corruption>/<severity>/, as "
            f"Tiny ImageNet-C does. Received: folder={str(folder)!r}"
        )
    return load_tiny_imagenet_c(folder, corruption, severity)


def load_tfds_cifar10_corrupted(corruption, severity, *, data_dir=None):
    """Read one corruption of TensorFlow Datasets' `cifar10_corrupted`.

    The set calls glass blur `frosted_glass_blur` and the elastic transform
    `elastic`; here they keep their names. Downloads 2.7 GiB the first time.

    Args:
        corruption: Name from `CORRUPTIONS` or `EXTRA_CORRUPTIONS`.
        severity: Int, 1 to 5.
        data_dir: Folder of tfds's data sets; `None` is tfds's own.

    Returns:
        Images, uint8 (n, 32, 32, 3), and labels, int64 (n,).

    Raises:
        ValueError: If the corruption or the severity is not one of those.
        ImportError: If tensorflow-datasets is not installed.

    Example:

    ```python
    x, y = load_tfds_cifar10_corrupted("fog", severity=3)
    ```
    """
    _check(corruption, severity)
    tfds = require("tensorflow_datasets", "cifar10_corrupted")
    name = _TFDS_NAMES.get(corruption, corruption)
    images, labels = tfds.as_numpy(
        tfds.load(
            f"cifar10_corrupted/{name}_{severity}",
            split="test",
            data_dir=data_dir,
            batch_size=-1,
            as_supervised=True,
        )
    )
    return images, labels.astype(np.int64)


def _check(corruption, severity):
    check_choice("corruption", corruption, CORRUPTIONS + EXTRA_CORRUPTIONS)
    check_choice("severity", severity, range(1, _LEVELS + 1))


def _files_by_class(tree):
    """Names and labels of all images: a class missing would shift labels."""
    of_class = {}
    for name in sorted(tree.names, key=by_number):
        match = re.fullmatch(r"(n\d{8})/[^/]+\.JPEG", name)
        if match:
            of_class.setdefault(match[1], []).append(name)
    counts = {wnid: len(names) for wnid, names in of_class.items()}
    if len(counts) != CLASSES or len({*counts.values()}) != 1:
        fewest = min(counts, key=counts.get, default="none")
        raise ValueError(
            f"{tree.path} must hold a folder of as many images for each of "
            f"{CLASSES} classes, or labels are wrong or images missing. "
            f"Received: {len(counts)} classes; fewest images, "
            f"{counts.get(fewest, 0)}, of {fewest}"
        )
    return [
        (name, label)
        for label, wnid in enumerate(sorted(of_class))
        for name in of_class[wnid]
    ]


def _open(path):
    if not path.is_file():
        raise FileNotFoundError(
            "A CIFAR-C folder must hold labels.npy and one .npy a corruption, "
            f"as the archive unpacks. Received: no file {path}"
        )
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # Damage may raise anything.
        raise ValueError(
            f"{path.name} must be a whole NumPy array; this one is truncated "
            f"or another format. Received: {path}"
        ) from error
