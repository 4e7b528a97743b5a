"""TensorFlow Datasets' own CIFAR readers, on files of the official format."""

import sys

import numpy as np
import pytest

from keras_snn.datasets import load

pytestmark = pytest.mark.once
LABEL_BYTES = {"cifar10": 1, "cifar100": 2}
FILES = {
    "cifar10": [
        *(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
    ],
    "cifar100": ["train.bin", "test.bin"],
}


def records(name, total, rng):
    """Labels, images and the bytes of one official binary file."""
    labels = rng.integers(0, 10, (total, LABEL_BYTES[name]), "uint8")
    images = rng.integers(0, 256, (total, 32, 32, 3), "uint8")
    planes = images.transpose(0, 3, 1, 2).reshape(total, -1)
    return labels[:, -1], images, np.hstack([labels, planes]).tobytes()


@pytest.fixture(params=["cifar10", "cifar100"])
def prepared(request, tmp_path, monkeypatch):
    """A folder tfds has prepared, and the labels and images in it."""
    import tensorflow_datasets as tfds

    name, rng = request.param, np.random.default_rng(0)
    official = tmp_path / "official"
    folder = (
        official
        / {
            "cifar10": "cifar-10-batches-bin",
            "cifar100": "cifar-100-binary",
        }[name]
    )
    folder.mkdir(parents=True)
    parts = []
    for file in FILES[name]:
        labels, images, content = records(name, 10, rng)
        (folder / file).write_bytes(content)
        parts.append((labels, images))
    for file, classes in {
        "batches.meta.txt": 10,
        "coarse_label_names.txt": 20,
        "fine_label_names.txt": 100,
    }.items():
        names = "\n".join(f"class {i}" for i in range(classes))
        (folder / file).write_text(names)
    monkeypatch.setattr(
        tfds.download.DownloadManager,
        "download_and_extract",
        lambda self, url: official,
    )
    tfds.builder(name, data_dir=tmp_path / "data").download_and_prepare()
    return name, tmp_path / "data", parts


def test_reads_the_official_order(prepared):
    name, folder, parts = prepared
    train, validation, test = load(name, data_dir=folder)
    y = np.concatenate([labels for labels, _ in parts])
    x = np.concatenate([images for _, images in parts])
    assert np.array_equal(np.concatenate([train.y, validation.y, test.y]), y)
    read = np.concatenate([train.x, validation.x, test.x])
    assert np.array_equal(np.rint(read * 255), x)
    assert len(test.y) == 10
    assert len(validation.y) == (len(y) - 10) // 10


def test_empty_folder(tmp_path):
    (tmp_path / "cifar10").mkdir()
    with pytest.raises(FileNotFoundError, match="prepares it.*data_dir="):
        load("cifar10", data_dir=tmp_path)


def test_no_network(monkeypatch):
    import tensorflow_datasets as tfds

    def fail(self):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(OSError, match="no route to host.*pass `data_dir`"):
        load("cifar10")


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match="pip install tensorflow-datasets$"):
        load("cifar100")
