import keras
import numpy as np
import pytest

from keras_snn.experiments.checkpoint import EpochCheckpoint
from keras_snn.experiments.checkpoint import packed
from keras_snn.experiments.checkpoint import unpack

pytestmark = pytest.mark.once
X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")


def model():
    built = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    built.compile("adam", "mse")
    return built


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def stopped(tmp_path):
    """After five of seven epochs, every second of which was kept."""
    checkpoint = EpochCheckpoint(tmp_path, interval=2)
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: stop.model.__setattr__(
            "stop_training", epoch == 4
        )
    )
    model().fit(X, X[:, :2], epochs=7, callbacks=[checkpoint, stop], verbose=0)
    return tmp_path


def test_every_few_epochs_and_the_last_are_kept(stopped):
    assert files(stopped) == ["epoch-000004.npz"]
    checkpoint, again = EpochCheckpoint(stopped, interval=2), model()
    assert checkpoint.resume(again) == 4
    assert [row["epoch"] for row in checkpoint.rows] == [1, 2, 3, 4]
    again.fit(
        X,
        X[:, :2],
        epochs=7,
        initial_epoch=4,
        callbacks=[checkpoint],
        verbose=0,
    )
    assert files(stopped) == ["epoch-000007.npz"]
    checkpoint.clear()
    assert files(stopped) == []


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def rename(path):
    path.rename(path.with_name("epoch-000006.npz"))


@pytest.mark.parametrize("damage", [cut, rename])
def test_a_damaged_checkpoint_is_named_and_training_begins_anew(
    stopped, damage
):
    damage(stopped / "epoch-000004.npz")
    checkpoint = EpochCheckpoint(stopped)
    with pytest.warns(UserWarning, match=r"-00000[46]\.npz cannot be gone on"):
        assert checkpoint.resume(model()) == 0
    assert checkpoint.rows == []


def test_a_checkpoint_of_another_training_is_not_gone_on_from(stopped):
    checkpoint = EpochCheckpoint(stopped, of="another")
    with pytest.warns(UserWarning, match="it is of '' after 4 epochs, not of"):
        assert checkpoint.resume(model()) == 0


def test_a_checkpoint_is_gone_on_from_elsewhere(stopped, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "epoch-000003.npz").touch()
    unpack(elsewhere, packed(stopped))
    assert packed(elsewhere) == packed(stopped)
    assert EpochCheckpoint(elsewhere).resume(model()) == 4
    unpack(elsewhere, {})  # None is sent where there is no new one.
    assert packed(elsewhere) == packed(stopped)


def test_training_that_is_not_finite_is_an_error(tmp_path):
    wrong = np.full((8, 2), np.nan, "float32")
    with pytest.raises(FloatingPointError, match="loss=nan after epoch 1"):
        model().fit(X, wrong, callbacks=[EpochCheckpoint(tmp_path)], verbose=0)
    assert files(tmp_path) == []
