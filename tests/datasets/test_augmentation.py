"""Augmentation: what each change does, and that its draws are the seed's."""

import sys

import keras
import numpy as np
import pytest

from keras_snn.datasets import augmented

RNG = np.random.default_rng(0)
PLAIN = {"crop": 0, "flip": False}


def images(total, rows=6, cols=9):
    return RNG.random((total, rows, cols, 3), "float32")


def epoch(data):
    """One pass over the data: all images, all labels."""
    x, y = zip(*((x.numpy(), y.numpy()) for x, y in data), strict=True)
    return np.concatenate(x), np.concatenate(y)


def same(a, b):
    return all(np.array_equal(*pair) for pair in zip(a, b, strict=True))


def test_without_changes_is_a_new_order_of_the_same_pairs():
    x, y = images(50), np.arange(50)
    data = augmented(x, y, 16, **PLAIN)
    assert len(data) == 4
    assert [len(labels) for _, labels in data] == [16, 16, 16, 2]
    orders = [epoch(data) for _ in range(2)]
    for drawn, labels in orders:
        assert sorted(labels) == list(range(50))
        assert np.array_equal(drawn, x[labels])
    assert not np.array_equal(orders[0][1], orders[1][1])


def test_without_shuffling_keeps_the_order():
    x, y = images(20), np.eye(20)
    assert same(epoch(augmented(x, y, 8, shuffle=False, **PLAIN)), (x, y))


def test_crops_are_windows_of_the_padded_image():
    (x,) = images(1)
    padded = np.pad(x, ((4, 4), (4, 4), (0, 0)))
    windows = {
        padded[i : i + 6, j : j + 9].tobytes(): (i, j)
        for i in range(9)
        for j in range(9)
    }
    data = augmented(np.stack([x] * 2000), np.zeros(2000), 500, flip=False)
    corners = [windows[drawn.tobytes()] for drawn in epoch(data)[0]]
    counts = np.zeros((9, 9))
    np.add.at(counts, tuple(np.transpose(corners)), 1)
    assert counts.min() > 5
    assert counts.sum(0) == pytest.approx(np.full(9, 2000 / 9), rel=0.25)
    assert counts.sum(1) == pytest.approx(np.full(9, 2000 / 9), rel=0.25)


def test_flips_half_of_the_images():
    x, y = images(1000), np.arange(1000)
    drawn, labels = epoch(augmented(x, y, 250, crop=0))
    as_is = (drawn == x[labels]).all((1, 2, 3))
    mirrored = (drawn == x[labels, :, ::-1]).all((1, 2, 3))
    assert (as_is ^ mirrored).all()
    assert 0.4 < mirrored.mean() < 0.6


def test_rotates_up_to_the_angle_either_way():
    x = np.zeros((500, 33, 33, 1), "float32")
    x[:, 15:18, 27:30] = 1
    drawn, _ = epoch(augmented(x, np.zeros(500), 100, rotation=15, **PLAIN))
    drawn = drawn[..., 0]
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    rows, cols = np.mgrid[-16:17, -16:17]
    mass = drawn / drawn.sum((1, 2), keepdims=True)
    angle = np.degrees(
        np.arctan2((mass * rows).sum((1, 2)), (mass * cols).sum((1, 2)))
    )
    assert -15.5 < angle.min() < -13
    assert 13 < angle.max() < 15.5
    assert abs(angle.mean()) < 1.5


def test_pixels_stay_in_the_unit_interval():
    x = np.ones((64, 32, 32, 3), "float32")
    drawn, _ = epoch(augmented(x, np.zeros(64), rotation=180))
    assert drawn.dtype == np.float32
    assert (drawn.min(), drawn.max()) == (0, 1)


def test_seed_and_epoch_fix_every_draw():
    x, y = images(30), np.arange(30)

    def data(seed=5, initial_epoch=0):
        return augmented(
            x, y, 8, rotation=9, seed=seed, initial_epoch=initial_epoch
        )

    first = data()
    epochs = [epoch(first) for _ in range(3)]
    assert same(epoch(data()), epochs[0])
    assert not same(epoch(data(seed=6)), epochs[0])
    assert not same(epochs[0], epochs[1])
    resumed = data(initial_epoch=1)
    assert same(epoch(resumed), epochs[1])
    assert same(epoch(resumed), epochs[2])


def test_a_pass_that_is_broken_off_is_no_epoch():
    x, y = images(30), np.arange(30)
    data = augmented(x, y, 8)
    for _ in range(3):
        next(iter(data))
    assert same(epoch(data), epoch(augmented(x, y, 8)))


def test_an_endless_pass_is_one_epoch_after_the_other():
    x, y = images(30), np.arange(30)
    data = augmented(x, y, 8)
    epochs = [epoch(data) for _ in range(3)]
    endless = augmented(x, y, 8, initial_epoch=1, endless=True)
    for _ in range(2):
        assert same(epoch(endless.take(4)), epochs[1])
        assert same(epoch(endless.skip(4).take(4)), epochs[2])


@pytest.mark.parametrize("batch_size", [8, 64])
def test_resumed_fit_sees_what_an_undisturbed_one_sees(batch_size):
    x, y = images(40), RNG.integers(0, 3, 40)

    def train(weights, initial_epoch, epochs):
        model = keras.Sequential(
            [
                keras.Input(x.shape[1:]),
                keras.layers.Flatten(),
                keras.layers.Dense(3, kernel_initializer="zeros"),
            ]
        )
        if weights:
            model.set_weights(weights)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss)
        data = augmented(x, y, batch_size, initial_epoch=initial_epoch)
        model.fit(
            data,
            initial_epoch=initial_epoch,
            epochs=epochs,
            shuffle=False,
            verbose=0,
        )
        return model.get_weights()

    undisturbed = train(None, 0, 3)
    resumed = train(train(None, 0, 1), 1, 3)
    assert same(undisturbed, resumed)
    assert np.abs(undisturbed[0]).max() > 0


def test_mixed_precision_leaves_the_images_alone():
    x, y = images(8), np.arange(8)
    expected = epoch(augmented(x, y, rotation=15))
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert same(epoch(augmented(x, y, rotation=15)), expected)
    finally:
        keras.config.set_dtype_policy(policy)


X, Y = np.zeros((4, 6, 6, 3), "float32"), np.zeros(4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"x": X.astype("uint8")}, "float images.*dtype=uint8"),
        ({"x": X[0]}, r"shape=\(6, 6, 3\)"),
        ({"x": X[:0], "y": Y[:0]}, r"shape=\(0, 6, 6, 3\)"),
        ({"x": X + 255}, r"in \[0, 1\].*from 255.0"),
        ({"x": X - 0.1}, r"in \[0, 1\]"),
        ({"x": X + np.nan}, r"in \[0, 1\].*nan"),
        ({"y": Y[:3]}, r"4 images, y of shape=\(3,\)"),
        ({"y": 1}, r"y of shape=\(\)"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"crop": -1}, "crop=-1"),
        ({"crop": 0.5}, "crop=0.5"),
        ({"rotation": -1}, r"rotation.*\[0, 180\].*rotation=-1"),
        ({"rotation": 181}, "rotation=181"),
        ({"rotation": "15"}, "rotation='15'"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": None}, "seed=None"),
        ({"initial_epoch": -1}, "initial_epoch=-1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        augmented(**{"x": X, "y": Y, **arguments})


@pytest.mark.parametrize(
    "module, package", [("keras_cv", "keras-cv"), ("tensorflow", "tensorflow")]
)
def test_missing_package(monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {package}$"):
        augmented(X, Y)
