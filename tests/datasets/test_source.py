import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_snn.datasets.source import Split
from keras_snn.datasets.source import as_float
from keras_snn.datasets.source import checked
from keras_snn.datasets.source import hold_out_last
from keras_snn.datasets.source import random_subset

pytestmark = pytest.mark.once
SHAPE = (2, 2, 3)


def numbered(total):
    return Split(10 * np.arange(total), np.arange(total))


@given(st.integers(2, 500), st.floats(0.001, 1), st.integers(0, 2**40))
def test_random_subset_draws_the_count_in_order(total, ratio, seed):
    count = round(ratio * total)
    if count == 0:
        with pytest.raises(ValueError, match="data_ratio.*Received"):
            random_subset(numbered(total), ratio, seed)
        return
    x, y = random_subset(numbered(total), ratio, seed)
    assert len(y) == count
    assert (np.diff(y) > 0).all()
    assert np.array_equal(x, 10 * y)


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 9))
def test_smaller_subset_lies_in_the_larger(a, b, seed):
    small, large = (
        set(random_subset(numbered(200), r, seed).y) for r in sorted((a, b))
    )
    assert small <= large


def test_random_subset_is_pinned():
    drawn = random_subset(numbered(20), 0.3, 7).y
    assert drawn.tolist() == [3, 8, 12, 13, 14, 16]


def test_whole_ratio_keeps_everything():
    assert np.array_equal(random_subset(numbered(9), 1, 3).y, np.arange(9))


def test_hold_out_is_the_papers():
    train, validation = hold_out_last(numbered(50_000))
    assert np.array_equal(train.y, np.arange(45_000))
    assert np.array_equal(validation.y, np.arange(45_000, 50_000))


@pytest.mark.parametrize("total, held", [(2, 1), (19, 1), (20, 2), (5085, 508)])
def test_hold_out_of_any_size(total, held):
    train, validation = hold_out_last(numbered(total))
    assert (len(train.y), len(validation.y)) == (total - held, held)


def test_as_float_maps_8_bits_to_the_unit_interval():
    x, _ = as_float(Split(np.arange(256, dtype="uint8"), None))
    assert x.dtype == np.float32
    assert (x[0], x[-1]) == (0, 1)
    assert np.array_equal(np.rint(x * 255), np.arange(256))


def check(x=None, y=None):
    x = np.zeros((5, *SHAPE), "uint8") if x is None else x
    y = np.arange(5) if y is None else y
    return checked(x, y, classes=5, image_shape=SHAPE, where="here")


@pytest.mark.parametrize(
    "labels", [np.arange(5, dtype="uint8"), np.arange(5)[:, None]]
)
def test_labels_of_any_integer_type(labels):
    y = check(y=labels).y
    assert y.dtype == np.int32
    assert y.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"x": np.zeros((5, *SHAPE), "float32")}, "uint8.*dtype=float32"),
        ({"x": np.zeros((5, 2, 3, 2), "uint8")}, r"shape=\(5, 2, 3, 2\)"),
        ({"x": np.zeros((5, 12), "uint8")}, r"shape=\(5, 12\)"),
        ({"x": np.array(5, "uint8")}, r"shape=\(\)"),
        ({"y": np.arange(5.0)}, "dtype=float64"),
        ({"y": np.zeros((5, 5), int)}, r"shape=\(5, 5\)"),
        ({"y": np.arange(4)}, r"each of the 5 images.*shape=\(4,\)"),
        ({"y": np.array(3)}, r"shape=\(\)"),
        ({"y": np.arange(5) - 1}, "labels from -1 to 3"),
        ({"y": np.arange(5) + 1}, "labels from 1 to 5"),
    ],
)
def test_other_arrays(wrong, message):
    with pytest.raises(ValueError, match=f"in here must.*{message}"):
        check(**wrong)


def test_too_few_images():
    with pytest.raises(ValueError, match="at least 2 images"):
        check(np.zeros((0, *SHAPE), "uint8"), np.zeros(0, int))
