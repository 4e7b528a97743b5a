"""CIFAR-10 and CIFAR-100, from a local file or TensorFlow Datasets.

"Learning Multiple Layers of Features from Tiny Images", Krizhevsky, 2009.
"""

import functools
import sys
from pathlib import Path

import numpy as np

from keras_snn.datasets.npz import read_npz
from keras_snn.datasets.source import Source
from keras_snn.datasets.source import checked
from keras_snn.datasets.source import hold_out_last
from keras_snn.extras import missing

IMAGE_SHAPE = (32, 32, 3)


def read(name, classes, data_dir, seed):
    """Train, validation and test; nothing is drawn, so `seed` is not used."""
    del seed
    where = None if data_dir is None else _find(name, Path(data_dir))
    if where is not None and where.is_file():
        arrays = read_npz(where)
    else:
        arrays = _read_tfds(name, where)
    train, test = (
        checked(
            arrays[f"x_{part}"],
            arrays[f"y_{part}"],
            classes=classes,
            image_shape=IMAGE_SHAPE,
            where=f"{where or name}, {part}",
        )
        for part in ("train", "test")
    )
    return *hold_out_last(train), test


def _find(name, path):
    """The .npz file, or the folder in which tfds has prepared the data."""
    path = path.expanduser()
    for file in (path, path / f"{name}.npz"):
        if file.is_file():
            return file
    if (path / name).is_dir():
        return path
    raise FileNotFoundError(
        "Argument `data_dir` must be an .npz file, or a folder that holds "
        f"{name}.npz or a folder {name} from TensorFlow Datasets. Received: "
        f"data_dir={str(path)!r}"
    )


def _read_tfds(name, folder):
    """Both parts in the official order, fetched if no folder is given."""
    builder = _builder(name, folder)
    if folder is None:
        _download(builder)
    if not builder.is_prepared():
        raise FileNotFoundError(
            f"Argument `data_dir` must hold all of {name}, as TensorFlow "
            f"Datasets prepares it. Received: data_dir={str(folder)!r}"
        )
    arrays = {}
    for part in ("train", "test"):
        rows = builder.as_dataset(split=part, batch_size=-1)
        order = np.argsort(rows["id"].numpy())
        arrays[f"x_{part}"] = rows["image"].numpy()[order]
        arrays[f"y_{part}"] = rows["label"].numpy()[order]
    return arrays


def _builder(name, folder):
    try:
        import tensorflow_datasets as tfds

        return tfds.builder(name, data_dir=folder)
    except ModuleNotFoundError as error:
        raise missing(error.name, f"{name} without a local file") from error


def _download(builder):
    if not builder.is_prepared():  # Without a network it is tried for long.
        print(
            f"Downloading {builder.name}. Where there is no network, tell of a "
            "local file by `data_dir`, which is `--data-dir` in recipes",
            file=sys.stderr,
            flush=True,
        )
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise OSError(
            f"{builder.name} could not be downloaded ({error}). Without a "
            "network, pass `data_dir` (`--data-dir`): a file with arrays "
            "x_train, y_train, x_test and y_test. Received: data_dir=None"
        ) from error


CIFAR10 = Source(
    classes=10,
    image_shape=IMAGE_SHAPE,
    flip=True,
    images=50_000,
    read=functools.partial(read, "cifar10", 10),
)
CIFAR100 = Source(
    classes=100,
    image_shape=IMAGE_SHAPE,
    flip=True,
    images=50_000,
    read=functools.partial(read, "cifar100", 100),
)
