"""Each corruption on images small enough to work out by hand."""

import numpy as np
import pytest

from keras_snn.corruptions import corrupt
from keras_snn.corruptions import corruptions

pytestmark = pytest.mark.once


def image(*rows):
    return np.array([rows], np.uint8)


def grey(value, n=1, size=32):
    return np.full((n, size, size, 3), value, np.uint8)


def generators(n=1):
    return [np.random.default_rng(i) for i in range(n)]


def test_gaussian_noise_has_its_standard_deviation():
    noisy = corruptions.gaussian_noise(grey(128, 20), generators(20), 0.1)
    assert noisy.std() == pytest.approx(25.5, rel=0.01)
    # Cutting the fraction off costs half a grey level.
    assert noisy.mean() == pytest.approx(127.5, abs=0.4)


def test_shot_noise_is_a_count():
    noisy = corruptions.shot_noise(grey(255), generators(), 3)
    assert set(np.unique(noisy)) == {0, 85, 170, 255}
    assert not corruptions.shot_noise(grey(0), generators(), 3).any()


def test_impulse_noise_salts_and_peppers_a_fraction():
    noisy = corruptions.impulse_noise(grey(128, 20), generators(20), 0.2)
    assert set(np.unique(noisy)) == {0, 128, 255}
    assert (noisy == 0).mean() == pytest.approx(0.1, abs=0.005)
    assert (noisy == 255).mean() == pytest.approx(0.1, abs=0.005)


def test_speckle_noise_spares_black():
    assert not corruptions.speckle_noise(grey(0), generators(), 0.5).any()
    noisy = corruptions.speckle_noise(grey(100, 20), generators(20), 0.2)
    assert noisy.std() == pytest.approx(20, rel=0.01)


def test_defocus_blur_spreads_a_point_to_a_disk():
    point = np.zeros((1, 9, 9, 1), np.uint8)
    point[0, 4, 4] = 255
    disk = corruptions.defocus_blur(point, generators(), 1.0, 0.01)[0, ..., 0]
    plus = np.zeros((9, 9), int)
    plus[4, 3:6] = plus[3:6, 4] = 51
    np.testing.assert_array_equal(disk, plus)


@pytest.mark.parametrize(
    "name",
    (
        "glass_blur",
        "motion_blur",
        "zoom_blur",
        "gaussian_blur",
        "contrast",
        "elastic_transform",
        "pixelate",
    ),
)
@pytest.mark.parametrize("table", ("cifar32", "tiny64", "imagenet224"))
def test_blurs_and_moves_leave_a_constant_image(name, table):
    for value in (0, 77, 200, 255):
        for severity in (1, 3, 5, 6):
            same = corrupt(grey(value), name, severity, table=table)
            assert np.unique(same).tolist() == [value]


@pytest.mark.parametrize("table", ("cifar32", "tiny64"))
def test_defocus_leaves_a_constant_image(table):
    for severity in range(1, 7):
        same = corrupt(grey(200), "defocus_blur", severity, table=table)
        assert np.unique(same).tolist() == [200]


def test_glass_blur_copies_from_above_and_left():
    # Of two pixels that may move, each takes itself or one above or left.
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 6, 8, 1)
    moved = corruptions.glass_blur(pixels, generators(), 0.05, 1, 1)
    step = pixels.astype(int) - moved
    assert set(np.unique(step)) <= {0, 1, 8, 9}
    assert step.any()
    assert not step[:, :2].any() and not step[:, :, :2].any()


class Straight:
    """A generator whose every angle is 0, whatever its range."""

    def uniform(self, low, high):
        self.range = low, high
        return 0.0


def test_motion_blur_looks_to_the_right():
    edge = np.zeros((1, 8, 8, 1), np.uint8)
    edge[:, :, 4:] = 200
    rng = Straight()
    blurred = corruptions.motion_blur(edge, [rng], 2, 1e9)
    # Five equal taps.
    row = [40, 80, 120, 160, 200, 200, 200, 200]
    np.testing.assert_array_equal(blurred[0, :, :, 0], [row] * 8)
    assert rng.range == (-45, 45)


def test_brightness_raises_the_value_and_keeps_the_hue():
    pixels = image([[100, 50, 0], [0, 0, 0], [250, 125, 0]])
    brighter = corruptions.brightness(pixels, None, 100 / 255)[0, 0]
    np.testing.assert_array_equal(
        brighter, [[200, 100, 0], [100, 100, 100], [255, 127, 0]]
    )


def test_contrast_halves_the_distance_to_the_mean():
    pixels = image([[0, 10, 5], [100, 30, 5]])
    flat = corruptions.contrast(pixels, None, 0.5)[0, 0]
    np.testing.assert_array_equal(flat, [[25, 15, 5], [75, 25, 5]])


def test_saturate_scales_colours_and_tints_greys_red():
    pixels = image([[200, 100, 0], [200, 150, 100], [80, 80, 80], [0, 0, 0]])
    half = corruptions.saturate(pixels, None, 0.5, 0.0)[0, 0]
    np.testing.assert_array_equal(
        half, [[200, 150, 100], [200, 175, 150], [80, 80, 80], [0, 0, 0]]
    )
    tinted = corruptions.saturate(pixels, None, 1.0, 0.25)[0, 0]
    np.testing.assert_array_equal(
        tinted, [[200, 100, 0], [200, 125, 50], [80, 60, 60], [0, 0, 0]]
    )


def test_pixelate_averages_blocks():
    pixels = np.array([0, 20, 100, 140], np.uint8).reshape(1, 1, 4, 1)
    coarse = corruptions.pixelate(np.repeat(pixels, 2, axis=1), None, 0.5)
    np.testing.assert_array_equal(coarse[0, 0, :, 0], [10, 10, 120, 120])


def test_jpeg_keeps_the_order_of_channels():
    pixels = np.tile(np.uint8([250, 120, 10]), (1, 16, 16, 1))
    saved = corruptions.jpeg_compression(pixels, None, 95)
    assert abs(saved.astype(int) - pixels).max() <= 3


def test_fog_keeps_the_brightest_value_and_black():
    assert not corruptions.fog(grey(0), generators(), 1.0, 2.0).any()
    foggy = corruptions.fog(grey(200), generators(), 1.0, 2.0)
    assert foggy.max() == 200
    assert foggy.min() == int(200 * 200 / 455)
    assert (foggy == foggy[..., :1]).all()


def test_frost_is_a_piece_of_a_texture():
    icy = corruptions.frost(grey(0), generators(), 1.0, 1.0, 0.5)[0]
    assert icy.std() > 0
    assert icy[..., 2].mean() > icy[..., 0].mean()


def test_snow_is_twice_the_same_flakes_turned_about():
    snowy = corrupt(grey(0), "snow", 1)[0].astype(int)
    np.testing.assert_array_equal(snowy, snowy[::-1, ::-1])
    assert snowy.max() > snowy.min()


def test_spatter_is_water_then_mud():
    wet = corrupt(grey(0, size=64), "spatter", 3)[0].astype(int)
    assert (wet[..., 1] == wet[..., 2]).all()
    assert wet.max() > 0 and (wet[..., 1] >= wet[..., 0]).all()
    muddy = corrupt(grey(255, size=64), "spatter", 5)[0]
    assert {(63, 42, 20), (255, 255, 255)} <= set(
        map(tuple, muddy.reshape(-1, 3))
    )


def test_elastic_transform_moves_pixels_not_values():
    rows = np.zeros((1, 32, 32, 3), np.uint8)
    rows[:, ::2] = 255
    still = corruptions.elastic_transform(rows, generators(), 0, 0, 0)
    np.testing.assert_array_equal(still, rows)
    moved = corruptions.elastic_transform(rows, generators(), 3.2, 0.96, 0)
    assert (moved != rows).any()


@pytest.mark.parametrize(
    "name",
    (
        "defocus_blur",
        "motion_blur",
        "zoom_blur",
        "frost",
        "fog",
        "brightness",
        "contrast",
        "elastic_transform",
        "pixelate",
        "gaussian_blur",
        "snow",
        "spatter",
        "jpeg_compression",
    ),
)
def test_a_grey_image_is_the_luma_of_its_colour_image(name):
    rng = np.random.default_rng(0)
    one = rng.integers(0, 200, (2, 32, 32, 1), np.uint8)
    three = np.repeat(one, 3, axis=-1)
    for severity in (2, 4):
        colour = corrupt(three, name, severity, table="cifar32")
        luma = colour @ np.array([0.299, 0.587, 0.114])
        plain = corrupt(one, name, severity, table="cifar32")[..., 0]
        assert abs(plain - luma).max() <= 2


def test_saturate_leaves_a_grey_image():
    one = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    same = corruptions.saturate(one, None, 2.0, 0.1)
    np.testing.assert_array_equal(same, one)
