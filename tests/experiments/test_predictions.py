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
