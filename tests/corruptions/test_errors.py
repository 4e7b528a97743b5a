"""Errors by corruption, and mCE, by hand."""

import types

import numpy as np
import pytest

from keras_snn import plot
from keras_snn.corruptions import CorruptionErrors
from keras_snn.corruptions import corrupt
from keras_snn.corruptions import corruption_errors

pytestmark = pytest.mark.once

X = np.full((4, 32, 32, 3), 100, "uint8")
Y = np.array([0, 0, 1, 1])
NAMES = ("brightness", "contrast")


class ByMean:
    """Class 1 where an image's mean is above a value."""

    def __init__(self, value):
        self.value, self.seen = value, []

    def predict(self, x, batch_size, verbose):
        assert x.dtype == np.float32
        self.seen.append(x)
        above = x.mean(axis=(1, 2, 3)) > self.value
        return np.stack([~above, above], axis=1).astype("float32")


def errors(rows, clean, names=NAMES):
    return CorruptionErrors(names, (1, 2), np.array(rows), clean)


def test_our_corruptions_of_the_images_are_counted():
    model = ByMean(0.5)
    x = X.copy()
    x[1:] += np.arange(3, dtype="uint8")[:, None, None, None] * 20
    found = corruption_errors(
        model, x / 255, Y, corruptions=NAMES, severities=(1, 5), seed=3
    )
    expected = [
        [wrong(corrupt(x, name, s, seed=3)) for s in (1, 5)] for name in NAMES
    ]
    np.testing.assert_array_equal(found.errors, expected)
    assert found.clean == wrong(x) == 0.25
    assert len({*found.errors.flat}) > 1
    seen = [np.rint(255 * x).astype("uint8") for x in model.seen]
    np.testing.assert_array_equal(seen[1], corrupt(x, NAMES[0], 5, seed=3))
    assert found.mean == pytest.approx(np.mean(expected))


def wrong(images):
    return np.mean((images.mean(axis=(1, 2, 3)) / 255 > 0.5) != Y)


def test_published_files_are_counted_by_their_own_labels(tmp_path):
    # Of severity s, s of five images are bright; all are of class 0.
    fog = np.zeros((5, 5, 32, 32, 3), "uint8")
    for severity in range(5):
        fog[severity, : severity + 1] = 255
    np.save(tmp_path / "fog.npy", fog.reshape(25, 32, 32, 3))
    np.save(tmp_path / "labels.npy", np.zeros(25, "uint8"))
    found = corruption_errors(
        ByMean(0.5), X, Y, folder=tmp_path, corruptions=["fog"]
    )
    np.testing.assert_allclose(found.errors, [[0.2, 0.4, 0.6, 0.8, 1.0]])
    assert (found.clean, found.severities) == (0.5, (1, 2, 3, 4, 5))
    with pytest.raises(FileNotFoundError, match="snow"):
        corruption_errors(
            ByMean(0.5), X, Y, folder=tmp_path, corruptions=["snow"]
        )


def test_mce_and_relative_mce():
    baseline = errors([[0.3, 0.5], [0.2, 0.2]], 0.1)
    mine = errors([[0.2, 0.2], [0.3, 0.5]], 0.15)
    assert mine.ce(baseline) == pytest.approx(
        {"brightness": 0.4 / 0.8, "contrast": 0.8 / 0.4}
    )
    assert mine.mce(baseline) == pytest.approx((0.5 + 2) / 2)
    assert mine.relative_ce(baseline) == pytest.approx(
        {"brightness": 0.1 / 0.6, "contrast": 0.5 / 0.2}
    )
    assert mine.relative_mce(baseline) == pytest.approx((1 / 6 + 2.5) / 2)
    assert baseline.mce(baseline) == baseline.relative_mce(baseline) == 1


def test_what_cannot_be_compared_or_counted():
    mine = errors([[0.2, 0.2], [0.3, 0.5]], 0.15)
    with pytest.raises(ValueError, match="same corruptions"):
        mine.mce(errors(mine.errors, 0.1, ("fog", "snow")))
    with pytest.raises(ValueError, match=r"not for \['brightness'\]"):
        mine.mce(errors([[0.0, 0.0], [0.1, 0.1]], 0.0))
    with pytest.raises(ValueError, match=r"not for \['brightness'\]"):
        mine.relative_mce(errors([[0.1, 0.1], [0.3, 0.3]], 0.1))
    nan = types.SimpleNamespace(predict=lambda x, **_: np.full((4, 2), np.nan))
    for changes, says in (
        ({"x": X.astype("int64")}, "`x` must be images"),
        ({"x": X.astype("float32")}, "`x` must be images"),
        ({"x": np.ones((4, 8))}, "`x` must be images"),
        ({"x": X[:0], "y": Y[:0]}, "`x` must be images"),
        ({"y": Y[:3]}, "`y` must be an int"),
        ({"corruptions": ["fogg"]}, "`corruptions` must be"),
        ({"severities": [7]}, "`severities` must be"),
        ({"severities": [6], "folder": "."}, "`severities` must be"),
        ({"corruptions": []}, "must not be empty"),
        ({"model": nan, "corruptions": ["brightness"]}, "finite"),
    ):
        arguments = {"model": ByMean(0.5), "x": X, "y": Y, **changes}
        with pytest.raises(ValueError, match=says):
            corruption_errors(**arguments)


def test_a_table_and_a_heat_map():
    mine = errors([[0.2, 0.25], [0.3, 0.5]], 0.15)
    assert str(mine).splitlines() == [
        "corruption     1     2  mean",
        "brightness  20.0  25.0  22.5",
        "contrast    30.0  50.0  40.0",
        "mean        25.0  37.5  31.2",
        "clean 15.0, in percent",
    ]
    figure = plot.corruption_errors({"SET": mine, "dense": mine})
    first, second = figure.axes[:2]
    np.testing.assert_allclose(
        first.images[0].get_array(), [[20, 25], [30, 50]]
    )
    assert first.get_title() == "SET (clean 15.0)"
    assert [t.get_text() for t in second.texts] == ["20", "25", "30", "50"]
    assert [t.get_text() for t in first.get_yticklabels()] == list(NAMES)
    assert plot.corruption_errors(mine).axes[0].get_title() == "(clean 15.0)"
    with pytest.raises(ValueError, match="empty"):
        plot.corruption_errors({})
