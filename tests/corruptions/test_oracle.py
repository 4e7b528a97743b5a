"""Against imagecorruptions-imaug, which has ImageNet-C's constants."""

import cv2
import imagecorruptions
import numpy as np
import pytest
from imagecorruptions import corruptions as reference
from sklearn.datasets import load_sample_images

from keras_snn.corruptions import corrupt
from keras_snn.corruptions import corruptions
from keras_snn.corruptions import filters
from keras_snn.corruptions import textures

pytestmark = pytest.mark.once

SIZE = 64
PHOTOGRAPHS = np.stack(
    [
        cv2.resize(
            photo[:, 100:527], (SIZE, SIZE), interpolation=cv2.INTER_AREA
        )
        for photo in load_sample_images().images
    ]
)


def ours(images, name, severity):
    return corrupt(images, name, severity, table="imagenet224")


def theirs(images, name, severity):
    np.random.seed(severity)
    # These two have a stream of their own.
    seeded = name in ("impulse_noise", "glass_blur")
    return np.stack(
        [
            imagecorruptions.corrupt(
                image,
                severity,
                corruption_name=name,
                **({"seed": 100 * severity + i} if seeded else {}),
            )
            for i, image in enumerate(images)
        ]
    )


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize(
    "name",
    (
        "defocus_blur",
        "zoom_blur",
        "brightness",
        "contrast",
        "pixelate",
        "jpeg_compression",
        "gaussian_blur",
        "saturate",
    ),
)
def test_what_draws_nothing_agrees(name, severity):
    mine = ours(PHOTOGRAPHS, name, severity).astype(int)
    other = theirs(PHOTOGRAPHS, name, severity)
    assert abs(mine - other).mean() < 0.2


def assert_alike(mine, other, image):
    """The mean and the variance of the change, per image, by a z-test."""
    mine, other = (x.astype(np.float64) - image for x in (mine, other))
    pixels = (1, 2, 3)
    for statistic in (lambda x: x.mean(pixels), lambda x: x.var(pixels)):
        a, b = statistic(mine), statistic(other)
        error = np.sqrt(a.var() / len(a) + b.var() / len(b))
        assert abs(a.mean() - b.mean()) < 4 * error + 0.02 * abs(b.mean())


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize(
    "name",
    (
        "gaussian_noise",
        "shot_noise",
        "impulse_noise",
        "glass_blur",
        "snow",
        "fog",
        "speckle_noise",
        "spatter",
    ),
)
def test_what_is_drawn_agrees_in_distribution(name, severity):
    for photograph in PHOTOGRAPHS:
        images = np.stack([photograph] * 24)
        assert_alike(
            ours(images, name, severity),
            theirs(images, name, severity),
            photograph,
        )


@pytest.mark.parametrize("severity", range(1, 6))
def test_frost_agrees_on_the_same_textures(severity, monkeypatch):
    """The oracle has a sixth texture, and enlarges them all by a tenth."""
    folder = textures._photograph_folder()
    files = sorted(folder.glob("frost*"))
    sheets = [cv2.imread(str(file))[..., ::-1] for file in files]
    sheets = [
        cv2.resize(sheet, None, fx=1.1, fy=1.1, interpolation=cv2.INTER_CUBIC)
        for sheet in sheets
    ]
    monkeypatch.setattr(textures, "frost_textures", lambda *_: sheets)
    images = np.stack([PHOTOGRAPHS[0]] * 40)
    assert_alike(
        ours(images, "frost", severity),
        theirs(images, "frost", severity),
        PHOTOGRAPHS[0],
    )


@pytest.mark.parametrize("severity", range(1, 6))
def test_the_elastic_field_agrees_at_the_oracles_constants(severity):
    """The oracle moves no corners and scales its constants with the image."""
    alpha = 250 * (0.05, 0.065, 0.085, 0.1, 0.12)[severity - 1]
    images = np.stack([PHOTOGRAPHS[0]] * 24)
    rngs = [np.random.default_rng(i) for i in range(24)]
    mine = corruptions.elastic_transform(
        images, rngs, alpha * 0.005 * SIZE, 0.01 * SIZE, 0
    )
    other = theirs(images, "elastic_transform", severity)
    assert_alike(mine, other, PHOTOGRAPHS[0])


@pytest.mark.parametrize("angle", (-135, -90, -60, -45, -10, 0, 10, 33, 45))
@pytest.mark.parametrize("radius, sigma", ((6, 1.5), (10, 3.0), (15, 12.0)))
def test_motion_agrees_at_the_same_angle(angle, radius, sigma):
    mine = filters.motion(PHOTOGRAPHS, [angle] * 2, radius, sigma)
    other = [
        reference._motion_blur(image, radius, sigma, angle)
        for image in PHOTOGRAPHS
    ]
    assert abs(mine - np.array(other)).max() < 0.51
