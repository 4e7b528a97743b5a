import dataclasses

import numpy as np
import pytest

from keras_snn.hardness import Scores
from keras_snn.hardness import fingerprint
from keras_snn.hardness import hardest

pytestmark = pytest.mark.once
X = np.arange(12, dtype="float32").reshape(4, 3)
Y = np.array([0, 1, 0, 2])
VALUES = np.array([0.1, np.inf, 0.3, 0.2], "float32")


def test_saved_and_loaded(tmp_path):
    path = tmp_path / "scores.npz"
    scores = Scores.of(
        VALUES, X, Y, ids=[7, 5, 9, 1], score="el2n", epochs=(10, 20)
    )
    scores.save(path)
    loaded = Scores.load(path)
    np.testing.assert_array_equal(loaded.values, VALUES)
    assert loaded.values.dtype == np.float32
    assert loaded.ids.tolist() == [7, 5, 9, 1]
    assert loaded.fingerprint == scores.fingerprint == fingerprint(X, Y)
    assert loaded.config == scores.config
    assert loaded.config == {"score": "el2n", "epochs": [10, 20]}
    assert loaded.check(X, Y) is loaded
    assert hardest(loaded, 0.5).tolist() == [1, 2]


def test_other_data():
    scores = Scores.of(VALUES, X, Y)
    order = [1, 0, 2, 3]
    for x, y in (
        (X + 1, Y),
        (X, (Y + 1) % 3),
        (X[:3], Y[:3]),
        (X[order], Y[order]),
        (X.astype("float64"), Y),
        (X.reshape(4, 3, 1), Y),
    ):
        with pytest.raises(ValueError, match="the very data that was scored"):
            scores.check(x, y)


def test_labels_of_any_width_are_the_same_data():
    for y in (Y.astype("uint8"), Y.astype("int32"), Y[:, None], Y.tolist()):
        assert fingerprint(X, y) == fingerprint(X, Y)
    assert fingerprint(np.asfortranarray(X), Y) == fingerprint(X, Y)
    assert fingerprint(X, np.eye(3)[Y]) != fingerprint(X, Y)


def test_fingerprint_is_pinned():
    assert fingerprint(X, Y)[:12] == "0194aa15131e"


def test_is_frozen():
    values = VALUES.copy()
    scores = Scores.of(values, X, Y)
    values[0] = 5
    assert scores.values[0] == VALUES[0]
    with pytest.raises(ValueError, match="read-only"):
        scores.values[0] = 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        scores.values = VALUES


@pytest.mark.parametrize(
    "change, message",
    [
        ({"values": VALUES[:3]}, "3 scores, 4 samples and 4 labels"),
        ({"y": Y[:3]}, "4 samples and 3 labels"),
        ({"values": np.full(4, np.nan)}, "4 NaN of 4"),
        ({"values": np.ones((4, 1))}, r"shape=\(4, 1\)"),
        ({"values": np.arange(4)}, "must be floats"),
        ({"ids": [1, 2]}, r"must be 4 integers.*shape=\(2,\)"),
        ({"ids": np.ones(4)}, "must be 4 integers.*float64"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        Scores.of(**{"values": VALUES, "x": X, "y": Y, **change})


def test_config_that_json_cannot_hold():
    with pytest.raises(TypeError, match="not JSON serializable"):
        Scores.of(VALUES, X, Y, model=object())


def test_files_that_are_no_scores(tmp_path):
    path = tmp_path / "scores.npz"
    with pytest.raises(FileNotFoundError):
        Scores.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="undamaged .npz"):
        Scores.load(path)
    np.savez(path, values=VALUES)
    with pytest.raises(ValueError, match="lacks ids, fingerprint, config"):
        Scores.load(path)
    good = {"values": VALUES, "ids": Y, "fingerprint": "f", "config": "{}"}
    for bad in ({"config": "{"}, {"ids": Y[:2]}, {"values": -VALUES * np.nan}):
        np.savez(path, **{**good, **bad})
        with pytest.raises(ValueError, match="`Scores.save` wrote"):
            Scores.load(path)
    pickled = np.array([{}], object)
    np.savez(path, **{**good, "values": pickled})
    with pytest.raises(ValueError, match="allow_pickle"):
        Scores.load(path)


def test_truncated_file(tmp_path):
    path = tmp_path / "scores.npz"
    Scores.of(VALUES, X, Y).save(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="undamaged"):
        Scores.load(path)
