"""MaskLog: what it counts, keeps, and hands to the callbacks behind it."""

import keras
import numpy as np
import pytest

import keras_snn
from keras_snn.files import read_csv

X = np.random.default_rng(0).random((16, 6), "float32")
Y = np.arange(16) % 3


def sparse(units=8):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(units, activation="relu", name="first"),
            keras.layers.Dense(3, name="last"),
        ]
    )
    model = keras_snn.sparsify(model, 0.5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=False)
    return model


class Masks(keras.callbacks.Callback):
    """The masks after each epoch, beginning with those before training."""

    def on_train_begin(self, logs=None):
        self.masks = [keras_snn.get_masks(self.model)]

    def on_epoch_end(self, epoch, logs=None):
        self.masks.append(keras_snn.get_masks(self.model))


def fit(model, *callbacks, epochs=3, **options):
    return model.fit(
        X, Y, 8, epochs, verbose=0, callbacks=list(callbacks), **options
    )


def test_what_it_counts():
    log, seen = keras_snn.MaskLog(), Masks()
    update = keras_snn.SETUpdate(interval=1, drop_fraction=0.4)
    history = fit(sparse(), update, log, seen).history
    expected = []
    for epoch, masks in enumerate(seen.masks):
        before = seen.masks[max(epoch - 1, 0)]
        for path, mask in masks.items():
            expected.append(
                {
                    "epoch": epoch,
                    "weight": path,
                    "size": mask.size,
                    "active": mask.sum(),
                    "grown": (mask & ~before[path]).sum(),
                    "dropped": (before[path] & ~mask).sum(),
                }
            )
    assert log.rows == expected
    assert sum(row["grown"] for row in log.rows) > 0
    grown = [
        sum(row["grown"] for row in log.rows if row["epoch"] == epoch)
        for epoch in (1, 2, 3)
    ]
    active = sum(row["active"] for row in log.rows if row["epoch"] == 0)
    np.testing.assert_allclose(history["moved"], np.array(grown) / active)


def test_a_training_that_goes_on_finds_its_epochs(tmp_path):
    path = tmp_path / "masks.csv"
    model = sparse()
    fit(model, keras_snn.SETUpdate(interval=1), keras_snn.MaskLog(path))
    first = read_csv(path)
    again = keras_snn.MaskLog(path)
    fit(model, again, epochs=4, initial_epoch=2)
    assert read_csv(path)[:6] == first[:6]
    assert [row["epoch"] for row in again.rows] == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        4,
    ]


def test_a_new_training_begins_anew(tmp_path):
    path = tmp_path / "masks.csv"
    fit(sparse(), keras_snn.MaskLog(path))
    fit(sparse(), keras_snn.MaskLog(path), epochs=1)
    assert [row["epoch"] for row in read_csv(path)] == ["0", "0", "1", "1"]


@pytest.mark.parametrize("text", ["epoch,weight\n1,a\n", "something else"])
def test_a_file_of_something_else_is_left_alone(tmp_path, text):
    path = tmp_path / "masks.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="must be a new file"):
        fit(sparse(), keras_snn.MaskLog(path))
    assert path.read_text() == text


def test_a_file_of_another_model_is_left_alone(tmp_path):
    path = tmp_path / "masks.csv"
    fit(sparse(), keras_snn.MaskLog(path), epochs=1)
    with pytest.raises(ValueError, match="must be a new file"):
        fit(sparse(units=4), keras_snn.MaskLog(path))


def test_curves_for_tensorboard(tmp_path):
    pytest.importorskip("tensorflow")
    fit(sparse(), keras_snn.MaskLog(log_dir=tmp_path / "logs"))
    (written,) = (tmp_path / "logs").iterdir()
    assert b"density/first/kernel" in written.read_bytes()
    assert b"moved/last/kernel" in written.read_bytes()


def test_a_model_without_masks():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="needs masks"):
        fit(model, keras_snn.MaskLog())


def test_config():
    log = keras_snn.MaskLog("masks.csv", log_dir="logs")
    again = keras_snn.MaskLog.from_config(log.get_config())
    assert again.get_config() == {"path": "masks.csv", "log_dir": "logs"}
