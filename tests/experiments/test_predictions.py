import numpy as np
import pytest

from keras_snn.experiments import Trial
from keras_snn.experiments import predictions

pytestmark = pytest.mark.once


def trial(**changes):
    fields = {"sparsity": 0.5, "dataset": "digits", "model": "vgg16"}
    return Trial(method="set", **{**fields, **changes})


def test_half_precision_keeps_classes_and_probabilities(tmp_path):
    random = np.random.default_rng(0)
    logits = random.normal(scale=5, size=(2000, 10)).astype("float32")
    logits += random.normal(scale=100, size=(2000, 1)).astype("float32")
    logits[0] = np.linspace(-1e6, 1e6, 10)
    y = random.integers(0, 10, 2000)
    predictions.save(tmp_path, trial(), logits, y)
    found = predictions.load(tmp_path, trial())
    assert found.logits.dtype == np.float32
    np.testing.assert_array_equal(found.y, y)
    np.testing.assert_array_equal(
        found.logits.argmax(axis=1), logits.argmax(axis=1)
    )

    def probabilities(values):
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    np.testing.assert_allclose(
        probabilities(found.logits), probabilities(logits), atol=5e-4
    )
    size = (tmp_path / predictions.FILE).stat().st_size
    assert size < 2000 * 10 * 2 + 2000 * 4 + 1000


def test_predictions_of_others_and_damaged_ones_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"predictions.npz"):
        predictions.load(tmp_path, trial())
    predictions.save(tmp_path, trial(), np.eye(3), [0, 1, 2])
    with pytest.raises(ValueError, match="must be of the trial set-0.5-seed1"):
        predictions.load(tmp_path, trial(seed=1))
    predictions.save(tmp_path, trial(), np.eye(3), [0, 1])
    with pytest.raises(ValueError, match=r"shapes \(3, 3\) and \(2,\)"):
        predictions.load(tmp_path, trial())
    path = tmp_path / predictions.FILE
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="undamaged"):
        predictions.load(tmp_path, trial())


def test_some_attacked_images_are_kept_with_the_predictions(tmp_path):
    y = np.arange(1000) % 3
    x = np.repeat(y / 2, 12).reshape(1000, 2, 2, 3)
    predictions.save_attacked(tmp_path, trial(), np.eye(3)[y], y, x)
    found = predictions.load_attacked(tmp_path, trial())
    np.testing.assert_array_equal(found.logits.argmax(axis=1), y)
    assert len(found.places) == predictions.IMAGES
    assert (found.places[0], found.places[-1]) == (0, 999)
    levels = np.array([0, 128, 255])[y[found.places]]
    np.testing.assert_array_equal(found.x[:, 0, 0, 0], levels)
    assert found.x.dtype == np.uint8
    predictions.save_attacked(tmp_path, trial(), np.eye(3), [0, 1, 2], x[:3])
    found = predictions.load_attacked(tmp_path, trial())
    assert found.places.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "changes",
    (
        {"places": np.array([0, 3])},
        {"places": np.array([0])},
        {"x": np.zeros((2, 2, 2, 3))},
        {"places": np.array([], int), "x": np.zeros((0, 2, 2, 3), np.uint8)},
    ),
)
def test_attacked_images_without_a_place_are_refused(tmp_path, changes):
    whole = {"logits": np.eye(3), "y": np.arange(3), "places": np.array([0, 2])}
    whole["x"] = np.zeros((2, 2, 2, 3), np.uint8)
    path = tmp_path / predictions.ATTACKED
    np.savez(path, trial=trial().key, **{**whole, **changes})
    with pytest.raises(ValueError, match="the place of each among the 3 test"):
        predictions.load_attacked(tmp_path, trial())
