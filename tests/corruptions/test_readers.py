import sys

import numpy as np
import pytest

from keras_snn.corruptions import CORRUPTIONS
from keras_snn.corruptions import EXTRA_CORRUPTIONS
from keras_snn.corruptions import load_cifar_c
from keras_snn.corruptions import load_tfds_cifar10_corrupted
from keras_snn.corruptions.readers import _TFDS_NAMES

pytestmark = pytest.mark.numpy


@pytest.fixture
def folder(tmp_path):
    """Seven images in the layout of CIFAR-10-C; each holds its own row."""
    rows = np.arange(35, dtype=np.uint8)
    np.save(
        tmp_path / "fog.npy", np.tile(rows[:, None, None, None], (32, 32, 3))
    )
    np.save(tmp_path / "labels.npy", np.tile(np.arange(7, dtype=np.uint8), 5))
    return tmp_path


def test_a_severity_is_its_block_of_rows(folder):
    for severity in range(1, 6):
        x, y = load_cifar_c(folder, "fog", severity)
        assert (x.shape, x.dtype) == ((7, 32, 32, 3), np.uint8)
        first = 7 * (severity - 1)
        assert x[:, 0, 0, 0].tolist() == list(range(first, first + 7))
        assert y.tolist() == list(range(7)) and y.dtype == np.int64
        assert x.flags.writeable and type(x) is np.ndarray


def test_a_path_may_be_a_string(folder):
    assert len(load_cifar_c(str(folder), "fog", 1)[0]) == 7


def test_a_missing_file_is_named(folder):
    with pytest.raises(FileNotFoundError, match="snow.npy"):
        load_cifar_c(folder, "snow", 1)
    (folder / "labels.npy").unlink()
    with pytest.raises(FileNotFoundError, match="labels.npy"):
        load_cifar_c(folder, "fog", 1)


@pytest.mark.parametrize("name", ("fog.npy", "labels.npy"))
@pytest.mark.parametrize("keep", (0, 5, 100, -1))
def test_a_truncated_file_is_named(folder, name, keep):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:keep])
    with pytest.raises(ValueError, match=f"{name} must be a whole NumPy array"):
        load_cifar_c(folder, "fog", 1)


@pytest.mark.parametrize(
    "images",
    (
        np.zeros((34, 32, 32, 3), np.uint8),
        np.zeros((35, 32, 32, 3), np.float32),
        np.zeros((35, 32, 32), np.uint8),
        np.zeros((35, 3, 32, 32), np.uint8),
    ),
)
def test_another_layout_is_refused(folder, images):
    np.save(folder / "fog.npy", images)
    with pytest.raises(ValueError, match="five severities of the same n"):
        load_cifar_c(folder, "fog", 1)


@pytest.mark.parametrize(
    "labels", (np.zeros(7, int), np.zeros((35, 1), int), np.zeros(35))
)
def test_other_labels_are_refused(folder, labels):
    np.save(folder / "labels.npy", labels)
    with pytest.raises(ValueError, match="labels.npy must hold 35 ints"):
        load_cifar_c(folder, "fog", 1)


def test_objects_are_not_unpickled(folder):
    np.save(folder / "fog.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="whole NumPy array"):
        load_cifar_c(folder, "fog", 1)


@pytest.mark.parametrize("read", (load_cifar_c, load_tfds_cifar10_corrupted))
def test_other_names_and_severities_are_refused(read, folder):
    where = (folder,) if read is load_cifar_c else ()
    with pytest.raises(ValueError, match="`corruption` must be one of"):
        read(*where, "mixed", 1)
    for severity in (0, 6, 1.0):
        with pytest.raises(ValueError, match="`severity` must be one of"):
            read(*where, "fog", severity)


def test_every_tfds_name_is_one_of_its_configurations():
    tfds = pytest.importorskip("tensorflow_datasets")
    known = {
        c.name for c in tfds.builder_cls("cifar10_corrupted").BUILDER_CONFIGS
    }
    ours = {
        f"{_TFDS_NAMES.get(name, name)}_{severity}"
        for name in CORRUPTIONS + EXTRA_CORRUPTIONS
        for severity in range(1, 6)
    }
    assert ours == known


def test_a_tfds_set_is_read(tmp_path):
    import tensorflow_datasets as tfds

    x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    examples = [(i, {"image": x[i], "label": i}) for i in range(4)]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="cifar10_corrupted",
        config="frosted_glass_blur_3",
        version="1.0.0",
        data_dir=tmp_path,
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(32, 32, 3)),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
        ),
        split_datasets={"test": examples},
        disable_shuffling=True,
    )
    images, labels = load_tfds_cifar10_corrupted(
        "glass_blur", 3, data_dir=tmp_path
    )
    assert labels.dtype == np.int64 and images.dtype == np.uint8
    assert sorted(labels) == [0, 1, 2, 3]
    np.testing.assert_array_equal(images, x[labels])


def test_without_tfds_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match="pip install tensorflow-datasets$"):
        load_tfds_cifar10_corrupted("fog", 1)
