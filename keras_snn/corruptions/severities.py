"""How strong each corruption is at each severity: one table per image size.

The constants of CIFAR-10-C, Tiny ImageNet-C and ImageNet-C, from the generators
of Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations" (arXiv 1903.12261; hendrycks/robustness,
Apache-2.0). Each row holds severities 1 to 5; an entry is the arguments of the
function of that name in `keras_snn.corruptions.corruptions`, lengths in pixels.

Severity need not grow with every step: glass blur on CIFAR lowers its sigma
from 3 to 4, and saturate weakens colours at 1 and 2, then strengthens them.

Severity 6 is not Hendrycks's but ours, for Figure 9 of "Are Sparse Neural
Networks Better Hard Sample Learners?" (arXiv 2409.09196), which uses a level 6
that it does not define. Every parameter takes once more the ratio of its last
step, p6 = p5 * p5 / p4, whole numbers rounded. A ratio, unlike a difference,
keeps contrast, JPEG quality and rates above 0. Snow's zoom stops at 1, below
which its flakes would no longer fill the image.
"""

import numbers

SEVERITIES = (1, 2, 3, 4, 5, 6)
SIZES = {32: "cifar32", 64: "tiny64", 224: "imagenet224"}


def _elastic(size, *levels):
    """Alpha, sigma and affine shift, as fractions of one size in pixels."""
    return tuple(tuple(size * part for part in level) for level in levels)


_CIFAR = {
    # standard deviation, of images in [0, 1]
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    # Poisson rate of a white pixel
    "shot_noise": (500, 250, 100, 75, 50),
    # fraction of values replaced
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    # disk radius, sigma of its soft edge
    "defocus_blur": (
        (0.3, 0.4),
        (0.4, 0.5),
        (0.5, 0.6),
        (1.0, 0.2),
        (1.5, 0.1),
    ),
    # sigma, farthest move, rounds
    "glass_blur": (
        (0.05, 1, 1),
        (0.25, 1, 1),
        (0.4, 1, 1),
        (0.25, 1, 2),
        (0.4, 1, 2),
    ),
    # radius, sigma
    "motion_blur": ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)),
    # largest zoom (excluded), step
    "zoom_blur": (
        (1.06, 0.01),
        (1.11, 0.01),
        (1.16, 0.01),
        (1.21, 0.01),
        (1.26, 0.01),
    ),
    # mean, std, zoom, threshold, motion radius, motion sigma, image weight
    "snow": (
        (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
        (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
    ),
    # image weight, texture weight, texture scale
    "frost": (
        (1.0, 0.2, 0.2),
        (1.0, 0.3, 0.2),
        (0.9, 0.4, 0.2),
        (0.85, 0.4, 0.2),
        (0.75, 0.45, 0.2),
    ),
    # amount, decay of the roughness
    "fog": ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)),
    # added to the value of HSV
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    # factor about the channel mean
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    # displacement, its smoothness, affine shift
    "elastic_transform": _elastic(
        32,
        (0.0, 0.0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05),
        (0.1, 0.03, 0.03),
    ),
    # size of the small image
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
    # quality
    "jpeg_compression": (80, 65, 58, 50, 40),
    # standard deviation, relative to the value
    "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
    # sigma
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1.0),
    # mean, std, blur, threshold, strength, mud instead of water
    "spatter": (
        (0.62, 0.1, 0.7, 0.7, 0.5, False),
        (0.65, 0.1, 0.8, 0.7, 0.5, False),
        (0.65, 0.3, 1.0, 0.69, 0.5, False),
        (0.65, 0.1, 0.7, 0.69, 0.6, True),
        (0.65, 0.1, 0.5, 0.68, 0.6, True),
    ),
    # factor and shift of the saturation of HSV
    "saturate": ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2)),
}

_TINY = {
    "gaussian_noise": (0.04, 0.08, 0.12, 0.15, 0.18),
    "shot_noise": (250, 100, 50, 30, 15),
    "impulse_noise": (0.01, 0.02, 0.05, 0.08, 0.14),
    "defocus_blur": (
        (0.5, 0.6),
        (1.0, 0.1),
        (1.5, 0.1),
        (2.5, 0.01),
        (3.0, 0.1),
    ),
    "glass_blur": (
        (0.1, 1, 1),
        (0.5, 1, 1),
        (0.6, 1, 2),
        (0.7, 2, 1),
        (0.9, 2, 2),
    ),
    "motion_blur": ((10, 1.0), (10, 1.5), (10, 2.0), (10, 2.5), (12, 3.0)),
    "zoom_blur": _CIFAR["zoom_blur"],
    "snow": (
        (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.8),
        (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.8),
        (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.7),
        (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.65),
        (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.6),
    ),
    "frost": (
        (1.0, 0.3, 0.3),
        (0.9, 0.4, 0.3),
        (0.8, 0.45, 0.3),
        (0.75, 0.5, 0.3),
        (0.7, 0.55, 0.3),
    ),
    "fog": ((0.4, 3.0), (0.7, 3.0), (1.0, 2.5), (1.5, 2.0), (2.0, 1.75)),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "elastic_transform": _elastic(
        64,
        (0.0, 0.0, 0.08),
        (0.05, 0.3, 0.06),
        (0.1, 0.08, 0.06),
        (0.1, 0.03, 0.03),
        (0.16, 0.03, 0.02),
    ),
    "pixelate": (0.9, 0.8, 0.7, 0.6, 0.5),
    "jpeg_compression": (65, 58, 50, 40, 25),
    "speckle_noise": (0.15, 0.2, 0.25, 0.3, 0.35),
    "gaussian_blur": (0.5, 0.75, 1.0, 1.25, 1.5),
    "spatter": (
        (0.62, 0.1, 0.7, 0.7, 0.6, False),
        (0.65, 0.1, 0.8, 0.7, 0.6, False),
        (0.65, 0.3, 1.0, 0.69, 0.6, False),
        (0.65, 0.1, 0.7, 0.68, 0.6, True),
        (0.65, 0.1, 0.5, 0.67, 0.6, True),
    ),
    "saturate": ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (30.0, 0.2)),
}

_IMAGENET = {
    "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "shot_noise": (60, 25, 12, 5, 3),
    "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),
    "defocus_blur": (
        (3.0, 0.1),
        (4.0, 0.5),
        (6.0, 0.5),
        (8.0, 0.5),
        (10.0, 0.5),
    ),
    "glass_blur": (
        (0.7, 1, 2),
        (0.9, 2, 1),
        (1.0, 2, 3),
        (1.1, 3, 2),
        (1.5, 4, 2),
    ),
    "motion_blur": ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)),
    "zoom_blur": (
        (1.11, 0.01),
        (1.16, 0.01),
        (1.21, 0.02),
        (1.26, 0.02),
        (1.31, 0.03),
    ),
    "snow": (
        (0.1, 0.3, 3.0, 0.5, 10, 4.0, 0.8),
        (0.2, 0.3, 2.0, 0.5, 12, 4.0, 0.7),
        (0.55, 0.3, 4.0, 0.9, 12, 8.0, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8.0, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12.0, 0.55),
    ),
    "frost": (
        (1.0, 0.4, 1.0),
        (0.8, 0.6, 1.0),
        (0.7, 0.7, 1.0),
        (0.65, 0.7, 1.0),
        (0.6, 0.75, 1.0),
    ),
    "fog": ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    # The generator has 244 for 224, and the published images were made so.
    "elastic_transform": _elastic(
        244,
        (2.0, 0.7, 0.1),
        (2.0, 0.08, 0.2),
        (0.05, 0.01, 0.02),
        (0.07, 0.01, 0.02),
        (0.12, 0.01, 0.02),
    ),
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
    "jpeg_compression": (25, 18, 15, 10, 7),
    "speckle_noise": (0.15, 0.2, 0.35, 0.45, 0.6),
    "gaussian_blur": (1.0, 2.0, 3.0, 4.0, 6.0),
    "spatter": (
        (0.65, 0.3, 4.0, 0.69, 0.6, False),
        (0.65, 0.3, 3.0, 0.68, 0.6, False),
        (0.65, 0.3, 2.0, 0.68, 0.5, False),
        (0.65, 0.3, 1.0, 0.65, 1.5, True),
        (0.67, 0.4, 1.0, 0.65, 1.5, True),
    ),
    "saturate": ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2)),
}

TABLES = {"cifar32": _CIFAR, "tiny64": _TINY, "imagenet224": _IMAGENET}
_SNOW_ZOOM = 2


def parameters(corruption, severity, table):
    """The arguments of a corruption at a severity.

    Args:
        corruption: Name of a corruption, as `"gaussian_noise"`.
        severity: Int, 1 to 6; 6 is extrapolated, as this module says.
        table: `"cifar32"`, `"tiny64"` or `"imagenet224"`.

    Returns:
        A tuple of numbers, in the order of the function's own arguments.
    """
    levels = [
        level if isinstance(level, tuple) else (level,)
        for level in TABLES[table][corruption]
    ]
    if severity <= len(levels):
        return levels[severity - 1]
    sixth = [_once_more(*step) for step in zip(*levels[-2:], strict=True)]
    if corruption == "snow":
        sixth[_SNOW_ZOOM] = max(sixth[_SNOW_ZOOM], 1.0)
    return tuple(sixth)


def _once_more(fourth, fifth):
    sixth = fifth * fifth / fourth
    whole = isinstance(fourth, numbers.Integral)
    return type(fifth)(round(sixth)) if whole else sixth


def table_for(height, width):
    """The name of the table published for images of this size.

    Args:
        height: Int, in pixels.
        width: Int, in pixels.

    Returns:
        A name for `parameters`.

    Raises:
        ValueError: If no table was published for this size.
    """
    if height == width and height in SIZES:
        return SIZES[height]
    raise ValueError(
        f"Argument `table` must be named, one of {sorted(TABLES)}: severities "
        "were published for square images of 32, 64 and 224 pixels only, and "
        "another size has none of its own. Received: images of "
        f"{height}x{width} pixels and table=None"
    )
