import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from keras_snn.corruptions import CORRUPTIONS
from keras_snn.corruptions import EXTRA_CORRUPTIONS
from keras_snn.corruptions import corruption_errors
from keras_snn.corruptions import load_cifar_c
from keras_snn.corruptions import load_tfds_cifar10_corrupted
from keras_snn.corruptions import load_tiny_imagenet_c
from keras_snn.corruptions.readers import _TFDS_NAMES

pytestmark = pytest.mark.once


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


def test_labels_that_differ_between_severities_are_refused(folder):
    labels = np.load(folder / "labels.npy")
    labels[8] ^= 1
    np.save(folder / "labels.npy", labels)
    with pytest.raises(ValueError, match="same labels for each of the five"):
        load_cifar_c(folder, "fog", 1)


def test_a_damaged_header_is_named(folder):
    content = (folder / "fog.npy").read_bytes()
    # A tokenize.TokenError.
    (folder / "fog.npy").write_bytes(content.replace(b"}", b"{", 1))
    with pytest.raises(ValueError, match="fog.npy must be a whole NumPy array"):
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


@pytest.fixture
def tiny(tmp_path):
    """Two images of each of 200 classes, in the layout of Tiny ImageNet-C."""
    folder = tmp_path / "Tiny-ImageNet-C"
    for number in reversed(range(200)):
        place = folder / f"fog/3/n{2 * number:08}"
        place.mkdir(parents=True)
        for image, name in enumerate(("val_9.JPEG", "val_10.JPEG")):
            Image.new("L", (64, 64), number + image).save(place / name, "JPEG")
    (folder / "fog/3/.DS_Store").write_bytes(b"")
    return folder


def test_tiny_imagenet_c_is_read_class_after_class(tiny):
    x, y = load_tiny_imagenet_c(str(tiny), "fog", 3)
    assert (x.shape, x.dtype, y.dtype) == ((400, 64, 64, 3), np.uint8, np.int64)
    assert y.tolist() == np.repeat(np.arange(200), 2).tolist()
    # Of one grey: JPEG keeps it. Image 9 of a class comes before image 10.
    expected = (y + np.tile([0, 1], 200))[:, None, None, None]
    np.testing.assert_array_equal(x, np.broadcast_to(expected, x.shape))


def test_tiny_imagenet_c_that_is_not_whole_is_refused(tiny):
    with pytest.raises(FileNotFoundError, match="no folder .*fog.4"):
        load_tiny_imagenet_c(tiny, "fog", 4)
    with pytest.raises(FileNotFoundError, match="no folder .*snow.3"):
        load_tiny_imagenet_c(tiny, "snow", 3)
    for arguments, name in ((("mixed", 3), "corruption"), (("fog", 6), "sev")):
        with pytest.raises(ValueError, match=f"Argument `{name}"):
            load_tiny_imagenet_c(tiny, *arguments)
    place = tiny / "fog/3/n00000006"
    whole = (place / "val_9.JPEG").read_bytes()
    (place / "val_9.JPEG").write_bytes(whole[:100])
    with pytest.raises(ValueError, match="n00000006/val_9.JPEG in .*undamaged"):
        load_tiny_imagenet_c(tiny, "fog", 3)
    (place / "val_9.JPEG").unlink()
    with pytest.raises(ValueError, match="fewest images, 1, of n00000006"):
        load_tiny_imagenet_c(tiny, "fog", 3)
    shutil.rmtree(place)
    with pytest.raises(ValueError, match="Received: 199 classes"):
        load_tiny_imagenet_c(tiny, "fog", 3)


def test_errors_are_counted_on_either_layout(tiny, folder):
    class Third:
        def predict(self, x, batch_size, verbose):
            return np.tile(np.eye(200)[3], (len(x), 1))

    def errors(place):
        return corruption_errors(
            Third(),
            np.zeros((1, 64, 64, 3), np.uint8),
            np.array([3]),
            folder=place,
            corruptions=["fog"],
            severities=[3],
        )

    assert errors(folder).errors.item() == pytest.approx(6 / 7)
    found = errors(tiny)
    assert (found.errors.item(), found.clean) == (pytest.approx(398 / 400), 0)
    shutil.rmtree(tiny / "fog/3")
    with pytest.raises(FileNotFoundError, match="`folder` must hold labels"):
        errors(tiny)


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
