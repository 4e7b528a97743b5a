import sys

import numpy as np
import pytest

from keras_snn.datasets import SOURCES
from keras_snn.datasets import load

pytestmark = pytest.mark.once


def arrays(classes=10, train=40, test=12, **changes):
    rng = np.random.default_rng(0)

    def images(total):
        return rng.integers(0, 256, (total, 32, 32, 3), "uint8")

    return {
        "x_train": images(train),
        "y_train": rng.integers(0, classes, train),
        "x_test": images(test),
        "y_test": rng.integers(0, classes, test),
        **changes,
    }


class TestDigits:
    def test_parts(self):
        parts = load("digits")
        assert [len(y) for _, y in parts] == [1293, 144, 360]
        assert 1293 + 144 == SOURCES["digits"].images
        for x, y in parts:
            assert x.dtype == np.float32
            assert y.dtype == np.int32
            assert x.shape == (len(y), *SOURCES["digits"].image_shape)
            assert (x.min(), x.max()) == (0, 1)
            share = np.bincount(y) / len(y)
            assert share == pytest.approx(np.full(10, 0.1), abs=0.011)

    def test_are_scikit_learns_each_once(self):
        from sklearn.datasets import load_digits

        def lines(images, labels):
            images = np.rint(images).astype(int).reshape(len(labels), -1)
            return sorted(map(tuple, np.column_stack([labels, images])))

        x = np.concatenate([split.x for split in load("digits")])
        y = np.concatenate([split.y for split in load("digits")])
        images, labels = load_digits(return_X_y=True)
        assert lines(x[:, ::4, ::4, 0] * 16, y) == lines(images, labels)
        small = x[:, ::4, ::4, :1]
        assert np.array_equal(x, np.kron(small, np.ones((1, 4, 4, 3))))
        assert np.allclose(x * 255, np.rint(x * 255), atol=1e-4)

    def test_seed(self):
        again, other = load("digits"), load("digits", seed=1)
        for a, b, c in zip(load("digits"), again, other, strict=True):
            assert np.array_equal(a.x, b.x)
            assert not np.array_equal(a.y, c.y)

    def test_data_dir(self, tmp_path):
        with pytest.raises(ValueError, match="come with scikit-learn"):
            load("digits", data_dir=tmp_path)

    def test_missing_package(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
        with pytest.raises(ImportError, match="pip install scikit-learn$"):
            load("digits")


class TestFile:
    @pytest.mark.parametrize(
        "name, classes", [("cifar10", 10), ("cifar100", 100)]
    )
    @pytest.mark.parametrize("as_folder", [True, False])
    def test_parts(self, tmp_path, name, classes, as_folder):
        given = arrays(classes)
        np.savez(tmp_path / f"{name}.npz", **given)
        path = tmp_path if as_folder else tmp_path / f"{name}.npz"
        train, validation, test = load(name, data_dir=str(path))
        for (x, y), part, rows in (
            (train, "train", slice(36)),
            (validation, "train", slice(36, None)),
            (test, "test", slice(None)),
        ):
            assert np.array_equal(y, given[f"y_{part}"][rows])
            assert np.array_equal(np.rint(x * 255), given[f"x_{part}"][rows])

    def test_with_nothing_held_out_all_train(self, tmp_path):
        given = arrays()
        np.savez(tmp_path / "cifar10.npz", **given)
        train, validation, test = load(
            "cifar10", data_dir=tmp_path, hold_out=False
        )
        assert np.array_equal(train.y, given["y_train"])
        assert np.array_equal(np.rint(train.x * 255), given["x_train"])
        assert validation.x.shape == (0, 32, 32, 3)
        assert validation.y.shape == (0,)
        assert np.array_equal(test.y, given["y_test"])

    def test_data_ratio_touches_the_training_part_alone(self, tmp_path):
        np.savez(tmp_path / "cifar10.npz", **arrays())
        whole = load("cifar10", data_dir=tmp_path)
        half = load("cifar10", data_dir=tmp_path, data_ratio=0.5, seed=3)
        assert len(half[0].y) == 18
        for a, b in zip(whole[1:], half[1:], strict=True):
            assert np.array_equal(a.x, b.x)
            assert np.array_equal(a.y, b.y)
        kept = {image.tobytes() for image in half[0].x}
        assert kept < {image.tobytes() for image in whole[0].x}

    def test_labels_of_a_larger_data_set(self, tmp_path):
        np.savez(tmp_path / "data.npz", **arrays(y_test=np.full(12, 10)))
        with pytest.raises(ValueError, match=r"test must be in \[0, 10\)"):
            load("cifar10", data_dir=tmp_path / "data.npz")

    def test_other_images(self, tmp_path):
        small = np.zeros((12, 28, 28, 3), "uint8")
        np.savez(tmp_path / "data.npz", **arrays(x_test=small))
        with pytest.raises(ValueError, match=r"data.npz, test must be uint8"):
            load("cifar10", data_dir=tmp_path / "data.npz")

    def test_missing(self, tmp_path):
        np.savez(tmp_path / "cifar10.npz", **arrays())
        for path in (tmp_path / "none.npz", tmp_path / "none"):
            with pytest.raises(FileNotFoundError, match="Received: data_dir="):
                load("cifar10", data_dir=path)
        with pytest.raises(FileNotFoundError, match="cifar100.npz"):
            load("cifar100", data_dir=tmp_path)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "mnist"}, r"\['cifar10', .*'tiny_imagenet'\].*'mnist'"),
        ({"data_ratio": 0}, r"data_ratio.*\(0, 1\].*data_ratio=0"),
        ({"data_ratio": 1.01}, "data_ratio=1.01"),
        ({"data_ratio": float("nan")}, "data_ratio=nan"),
        ({"data_ratio": "half"}, "data_ratio='half'"),
        ({"data_ratio": 1e-4}, "at least one of the 1293"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, "seed=0.5"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**{"name": "digits", **arguments})
