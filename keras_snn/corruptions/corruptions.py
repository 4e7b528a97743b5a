"""The nineteen corruptions, in the order of the paper.

Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations" (arXiv 1903.12261). Every function takes a uint8
batch (n, height, width, 3 or 1) and a list of one `np.random.Generator` an
image, unused by those that draw nothing, then the parameters that
`severities.py` lists, and returns a uint8 batch of the same shape. The same
image and generator give the same result in any batch.

Quirks of the published generators that are kept, being part of the definition:
values are cut to whole grey levels, not rounded; glass blur copies pixels where
its comment says swap; defocus blur of radius 8 and 10 brightens by up to 1%;
fog leaves a black image black; saturate tints greys red. Where the generators
call ImageMagick, in motion blur and snow, results are rounded, as ImageMagick
does. Grey images, which the generators do not take, get the luma of every
coloured layer.
"""

import numpy as np

from keras_snn.corruptions import filters
from keras_snn.corruptions import textures
from keras_snn.corruptions.filters import draw
from keras_snn.corruptions.filters import each
from keras_snn.corruptions.filters import to_uint8
from keras_snn.corruptions.libraries import require

_WATER = (175, 238, 238)
_MUD = (63, 42, 20)


def _normal(images, rngs):
    return draw(
        rngs, lambda rng: rng.standard_normal(images[0].shape, np.float32)
    )


def gaussian_noise(images, rngs, std):
    """Normal noise of one standard deviation everywhere."""
    return to_uint8(images + 255 * std * _normal(images, rngs))


def shot_noise(images, rngs, rate):
    """Poisson noise, of photons counted: `rate` of them at white."""
    pairs = zip(images, rngs, strict=True)
    counts = np.stack([rng.poisson(x * (rate / 255)) for x, rng in pairs])
    return to_uint8(counts * (255 / rate))


def impulse_noise(images, rngs, amount):
    """Salt and pepper: a fraction of all values become 0 or 255."""
    u = draw(rngs, lambda rng: rng.random(images[0].shape, np.float32))
    salted = np.where(u < amount, np.uint8(255), images)
    return np.where(u < amount / 2, np.uint8(0), salted)


def defocus_blur(images, rngs, radius, soft_edge):
    """A camera out of focus: every point becomes a disk."""
    cv2 = require("cv2")
    kernel = filters.disk(radius, soft_edge)
    floats = images.astype(np.float32)
    return to_uint8(each(floats, lambda x: cv2.filter2D(x, -1, kernel)))


def glass_blur(images, rngs, sigma, reach, rounds):
    """Frosted glass: blurred, each pixel copied from a near one, blurred."""
    _, height, width, _ = images.shape
    images = to_uint8(filters.gaussian(images, sigma))
    size = (2, height, width)
    rows = slice(reach + 1, height - reach + 1)
    cols = slice(reach + 1, width - reach + 1)
    for _ in range(rounds):
        move = draw(rngs, lambda rng: rng.integers(-reach, reach, size))
        move = move[:, 0] * width + move[:, 1]
        targets = np.arange(move.size).reshape(move.shape)
        targets[:, rows, cols] += move[:, rows, cols]
        images = filters.shuffle(images, targets.ravel())
    return to_uint8(filters.gaussian(images, sigma))


def motion_blur(images, rngs, radius, sigma):
    """A camera that moves, within 45 degrees of the horizontal."""
    angles = draw(rngs, lambda rng: rng.uniform(-45, 45))
    return filters.motion(images, angles, radius, sigma)


def zoom_blur(images, rngs, stop, step):
    """A camera that nears: the mean of the image and its zooms."""
    zooms = np.arange(1, stop, step)
    return to_uint8(filters.zoom(images, (1.0, *zooms.tolist())))


def snow(images, rngs, mean, std, zoom, threshold, radius, sigma, weight):
    """Flakes that fall, twice over, on an image turned whiter."""
    flakes = mean + std * _normal(images[..., :1], rngs)
    flakes = filters.zoom(flakes, (zoom,))
    flakes = to_uint8(255 * np.where(flakes < threshold, 0, flakes))
    angles = draw(rngs, lambda rng: rng.uniform(-135, -45))
    flakes = filters.motion(flakes, angles, radius, sigma).astype(np.float32)
    images = images.astype(np.float32)
    white = np.maximum(images, 1.5 * filters.luma(images) + 127.5)
    whiter = weight * images + (1 - weight) * white
    return to_uint8(whiter + flakes + flakes[:, ::-1, ::-1])


def frost(images, rngs, weight, frost_weight, scale):
    """Ice on the lens: a random piece of a random texture, laid over."""
    _, height, width, channels = images.shape
    sheets = textures.frost_textures(scale, height, width)

    def piece(rng):
        sheet = sheets[rng.integers(len(sheets))]
        top = rng.integers(sheet.shape[0] - height)
        left = rng.integers(sheet.shape[1] - width)
        return sheet[top : top + height, left : left + width]

    ice = draw(rngs, piece)
    ice = filters.luma(ice) if channels == 1 else ice
    return to_uint8(weight * images + frost_weight * ice)


def fog(images, rngs, amount, decay):
    """Clouds of light, which leave the brightest value where it was."""
    _, height, width, _ = images.shape
    size = max(2, 1 << (max(height, width) - 1).bit_length())
    uniforms = draw(rngs, lambda rng: rng.uniform(-1, 1, size * size))
    clouds = textures.plasma(uniforms, decay)[:, :height, :width, None]
    brightest = images.max((1, 2, 3), keepdims=True).astype(np.float32)
    foggy = images + 255 * amount * clouds
    return to_uint8(foggy * (brightest / (brightest + 255 * amount)))


def brightness(images, rngs, shift):
    """More light: the value of HSV, raised."""
    value = filters.brightest(images)
    raised = np.minimum(value + 255 * shift, 255)
    scaled = images * (raised / np.maximum(value, 1))
    return to_uint8(np.where(value > 0, scaled, raised))


def contrast(images, rngs, factor):
    """Less contrast, about the mean of each channel."""
    cv2 = require("cv2")
    mean = np.float32([cv2.mean(x)[: x.shape[-1]] for x in images])
    mean = mean[:, None, None]
    return to_uint8((images - mean) * factor + mean)


def elastic_transform(images, rngs, alpha, sigma, shift):
    """Stretched: three points moved, then every pixel along a smooth field."""
    cv2 = require("cv2")
    n, height, width, _ = images.shape
    corners = np.float32([[1, 1], [1, -1], [-1, -1]])
    corners = corners * max(1, min(height, width) // 3)
    corners += np.float32([width // 2, height // 2])
    moves = draw(rngs, lambda rng: rng.uniform(-shift, shift, (3, 2)))
    field = np.zeros((n, 2, height, width))
    if alpha:
        field = draw(rngs, lambda rng: rng.uniform(-1, 1, field[0].shape))
        field = filters.smoothing_matrix(height, sigma) @ field
        field = alpha * (field @ filters.smoothing_matrix(width, sigma).T)
    field = (field + np.mgrid[:height, :width]).astype(np.float32)

    def stretch(image, move, rows, cols):
        affine = cv2.getAffineTransform(corners, corners + np.float32(move))
        image = cv2.warpAffine(
            image, affine, (width, height), borderMode=cv2.BORDER_REFLECT_101
        )
        return cv2.remap(
            image, cols, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )

    floats = images.astype(np.float32)
    parts = zip(floats, moves, field[:, 0], field[:, 1], strict=True)
    stretched = [stretch(*part) for part in parts]
    return to_uint8(np.stack(stretched).reshape(images.shape))


def pixelate(images, rngs, ratio):
    """Fewer pixels: shrunk by averaging, and blown up again."""
    pillow = require("PIL.Image")
    height, width, channels = images.shape[1:]
    small = max(1, int(width * ratio)), max(1, int(height * ratio))

    def coarsen(image):
        image = pillow.fromarray(image.squeeze(-1) if channels == 1 else image)
        image = image.resize(small, pillow.Resampling.BOX)
        return np.asarray(image.resize((width, height), pillow.Resampling.BOX))

    return each(images, coarsen)


def jpeg_compression(images, rngs, quality):
    """Saved as JPEG, and read again."""
    cv2 = require("cv2")

    def squeeze(image):
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        file = cv2.imencode(".jpg", image[..., ::-1], options)[1]
        image = cv2.imdecode(file, cv2.IMREAD_UNCHANGED).reshape(image.shape)
        return image[..., ::-1]

    return each(images, squeeze)


def speckle_noise(images, rngs, std):
    """Normal noise in proportion to the value."""
    return to_uint8(images * (1 + std * _normal(images, rngs)))


def gaussian_blur(images, rngs, sigma):
    """A Gaussian blur."""
    return to_uint8(filters.gaussian(images, sigma))


def spatter(images, rngs, mean, std, sigma, threshold, strength, mud):
    """Drops on the lens: of water that shines, or of mud that covers."""
    liquid = mean + std * _normal(images[..., :1], rngs)
    liquid = filters.gaussian(liquid, sigma)
    liquid[liquid < threshold] = 0
    colour = np.float32(_MUD if mud else _WATER).reshape(1, 1, 1, 3)
    colour = filters.luma(colour) if images.shape[-1] == 1 else colour
    if not mud:
        return to_uint8(images + strength * each(liquid, _shine) * colour)
    drops = filters.gaussian(liquid > 0, strength)
    drops[drops < 0.8] = 0
    return to_uint8(images * (1 - drops) + drops * colour)


def _shine(liquid):
    """How much light each drop throws, in [0, 1]: most along its rim."""
    cv2 = require("cv2")
    grey = to_uint8(255 * liquid)
    distance = cv2.distanceTransform(
        255 - cv2.Canny(grey, 50, 150), cv2.DIST_L2, 5
    )
    distance = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    slope = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    rim = cv2.filter2D(cv2.equalizeHist(distance), cv2.CV_8U, slope)
    light = grey.reshape(rim.shape) * cv2.blur(rim, (3, 3)).astype(np.float32)
    return light / max(light.max(), 1)


def saturate(images, rngs, factor, shift):
    """Paler or stronger colours: the saturation of HSV, scaled and raised."""
    value = filters.brightest(images)
    chroma = value - images
    saturation = filters.brightest(chroma) / np.maximum(value, 1)
    hue = chroma / np.maximum(saturation, 1e-9)
    if images.shape[-1] == 3:
        # HSV gives greys the hue 0, which is red.
        hue = np.where(saturation > 0, hue, value * np.float32([0, 1, 1]))
    return to_uint8(value - hue * np.clip(saturation * factor + shift, 0, 1))
