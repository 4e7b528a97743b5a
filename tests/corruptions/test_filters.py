import numpy as np
import pytest

from keras_snn.corruptions import filters

pytestmark = pytest.mark.once


def test_to_uint8_cuts_and_clips():
    values = np.float32([-3, 0.9, 199.9999, 254.5, 300])
    assert filters.to_uint8(values).tolist() == [0, 0, 200, 254, 255]
    whole = np.arange(256)
    np.testing.assert_array_equal(filters.to_uint8(whole), whole)


def test_zoom_line_by_hand():
    np.testing.assert_array_equal(filters.zoom_line(5, 1.0), np.eye(5))
    # Of 4 pixels the middle 2 become 4, end points fixed.
    third = 1 / 3
    expected = [
        [0, 1, 0, 0],
        [0, 2 * third, third, 0],
        [0, third, 2 * third, 0],
        [0, 0, 1, 0],
    ]
    np.testing.assert_allclose(filters.zoom_line(4, 2.0), expected)


@pytest.mark.parametrize("size", (1, 2, 7, 32))
def test_zoom_line_averages(size):
    for factor in (1.0, 1.01, 1.3, 2.25, 4.5):
        matrix = filters.zoom_line(size, factor)
        assert (matrix >= 0).all()
        np.testing.assert_allclose(matrix.sum(1), 1)


def test_motion_line_by_hand():
    weights, down, right = filters.line(1, 1.0, 90)
    assert down.tolist() == [0, 1, 2]
    assert right.tolist() == [0, 0, 0]
    np.testing.assert_allclose(weights[1:] / weights[0], np.exp([-0.5, -2]))
    assert weights.sum() == pytest.approx(1)


def reference_shuffle(pixels, targets):
    """The published loop: last pixel first, each a plain copy."""
    pixels = pixels.copy()
    for i in reversed(range(len(pixels))):
        pixels[i] = pixels[targets[i]]
    return pixels


@pytest.mark.parametrize("seed", range(5))
def test_shuffle_is_the_loop_that_copies(seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (2, 9, 8, 3), np.uint8)
    targets = np.arange(144) + rng.integers(-9, 9, 144)
    # Within each image, as glass blur's are.
    image = np.arange(144) // 72
    targets = np.clip(targets, 72 * image, 72 * image + 71)
    expected = reference_shuffle(pixels.reshape(144, 3), targets)
    np.testing.assert_array_equal(
        filters.shuffle(pixels, targets).reshape(144, 3), expected
    )


def test_disk_weighs_one_and_is_round():
    for radius, soft_edge in ((0.3, 0.4), (3.0, 0.1), (6.0, 0.5)):
        kernel = filters.disk(radius, soft_edge)
        assert kernel.sum() == pytest.approx(1, abs=1e-4)
        np.testing.assert_allclose(kernel, kernel.T, atol=1e-7)
        np.testing.assert_allclose(kernel, kernel[::-1], atol=1e-7)


def test_disk_keeps_the_quirk_of_its_grid():
    """Mirrored at the edge of its grid, the published disk outweighs 1."""
    assert filters.disk(8.0, 0.5).sum() == pytest.approx(1.013, abs=1e-3)
    assert filters.disk(10.0, 0.5).sum() > 1.001
