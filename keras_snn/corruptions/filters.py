"""What several corruptions share: blurs, zooms and draws over whole batches.

Batches are (n, height, width, channels), float32 or uint8 in [0, 255]. No value
of an image depends on the rest of its batch, to the last bit: cv2 filters each
image by itself, and a sparse matrix times a batch sums each column alike.
"""

import functools
import math

import numpy as np

from keras_snn.corruptions.libraries import require


def draw(rngs, sample):
    """One draw an image, `sample(rng)` from each generator, stacked."""
    return np.stack([sample(rng) for rng in rngs])


def each(images, change):
    """`change(image)` of every image, stacked to the batch's shape."""
    return np.stack([change(image) for image in images]).reshape(images.shape)


def to_uint8(values):
    """Clip to [0, 255] and cut the fraction off, as the reference does.

    The 1/1000 keeps float32 from turning 200 into 199 by way of 199.99999.
    """
    return (np.clip(values, 0, 255) + np.float32(1e-3)).astype(np.uint8)


def brightest(images):
    """Each pixel's brightest channel, float32 (n, height, width, 1)."""
    channels = np.moveaxis(images.astype(np.float32), -1, 0)
    return functools.reduce(np.maximum, channels)[..., None]


def luma(images):
    """Grey values (n, height, width, 1) of RGB or grey images."""
    if images.shape[-1] == 1:
        return images.astype(np.float32)
    red, green, blue = np.moveaxis(images.astype(np.float32), -1, 0)
    return (0.299 * red + 0.587 * green + 0.114 * blue)[..., None]


def gaussian(images, sigma):
    """Gaussian blur, cut at 4 sigma, edge pixels repeated."""
    cv2 = require("cv2")
    size = 2 * int(4 * sigma + 0.5) + 1
    return each(
        images.astype(np.float32),
        lambda image: cv2.GaussianBlur(
            image, (size, size), sigma, borderType=cv2.BORDER_REPLICATE
        ),
    )


def disk(radius, soft_edge):
    """A disk, its edge softened by a Gaussian of that sigma.

    As published it is mirrored at the edge of a grid that ends at 8, or at a
    larger radius: a disk that reaches so far weighs up to 1.01, others 1.
    """
    cv2 = require("cv2")
    # Zeros that the blur does not reach are left off.
    half = min(int(radius) + 2, max(8, math.ceil(radius)))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = (x**2 + y**2 <= radius**2).astype(np.float32)
    size = 3 if radius <= 8 else 5
    return cv2.GaussianBlur(kernel / kernel.sum(), (size, size), soft_edge)


def line(radius, sigma, angle):
    """The taps of a motion blur: weights, and where each pixel looks.

    As ImageMagick's: half a Gaussian over 2 * radius + 1 steps from the pixel
    outwards along `angle`, in degrees, each at the nearest whole pixel.
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    radians = np.deg2rad(angle)
    down = np.ceil(steps * np.sin(radians) - 0.5).astype(int)
    right = np.ceil(steps * np.cos(radians) - 0.5).astype(int)
    return weights / weights.sum(), down, right


def motion(images, angles, radius, sigma):
    """Blur each uint8 image along its own angle, rounding; edges repeated."""
    cv2 = require("cv2")
    height, width = images.shape[1:3]

    def blur(image, angle):
        weights, down, right = line(radius, sigma, angle)
        above, left = -down.min(), -right.min()
        image = cv2.copyMakeBorder(
            image.astype(np.float32),
            above,
            down.max(),
            left,
            right.max(),
            cv2.BORDER_REPLICATE,
        )
        total = np.zeros_like(image[:height, :width])
        for weight, y, x in zip(
            weights, above + down, left + right, strict=True
        ):
            moved = image[y : y + height, x : x + width]
            total = cv2.scaleAdd(moved, weight, total)
        return total

    blurred = [blur(*pair) for pair in zip(images, angles, strict=True)]
    return np.rint(blurred).astype(np.uint8).reshape(images.shape)


def zoom_line(size, factor):
    """The matrix (size, size) that zooms into the centre of a line.

    The middle 1/factor is cut out, stretched linearly with its end points
    fixed, and trimmed to `size`.
    """
    cut = math.ceil(size / factor)
    long = round(cut * factor)
    middle = np.arange(size) + (long - size) // 2
    position = middle * (cut - 1) / max(long - 1, 1)
    left = np.minimum(position.astype(int), max(cut - 2, 0))
    right = np.minimum(left + 1, cut - 1)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size), left), 1 - (position - left))
    np.add.at(matrix, (np.arange(size), right), position - left)
    return np.roll(matrix, (size - cut) // 2, axis=1)


@functools.lru_cache(maxsize=2)
def zoom_matrix(height, width, factors):
    """The sparse matrix over pixels that averages an image's zooms."""
    sparse = require("scipy.sparse")
    zooms = [
        sparse.kron(zoom_line(height, factor), zoom_line(width, factor), "csr")
        for factor in factors
    ]
    return (sum(zooms) / len(zooms)).astype(np.float32)


def zoom(images, factors):
    """The mean of each image's zooms, by every factor of a tuple."""
    n, height, width, channels = images.shape
    pixels = np.moveaxis(images, 0, 2).reshape(height * width, -1)
    zoomed = zoom_matrix(height, width, factors) @ pixels.astype(np.float32)
    return np.moveaxis(zoomed.reshape(height, width, n, channels), 2, 0)


@functools.lru_cache(maxsize=4)
def smoothing_matrix(size, sigma):
    """The matrix (size, size) of a Gaussian, cut at 3 sigma, edges mirrored."""
    return require("scipy.ndimage").gaussian_filter1d(
        np.eye(size), sigma, axis=0, mode="reflect", truncate=3
    )


def shuffle(images, targets):
    """Copy pixels over one another, last pixel first, as glass blur does.

    Where a pixel copies one that comes later, it gets what that one has copied
    by then; so chains of copies are followed to their end.

    Args:
        images: Array (n, height, width, channels).
        targets: Ints (n * height * width,), which pixel each one copies.

    Returns:
        An array like `images`.
    """
    source = targets.copy()
    open_ends = np.flatnonzero(targets > np.arange(targets.size))
    while open_ends.size:
        at = source[open_ends]
        source[open_ends] = targets[at]
        open_ends = open_ends[targets[at] > at]
    pixels = images.reshape(targets.size, -1)
    return pixels.take(source, axis=0).reshape(images.shape)
