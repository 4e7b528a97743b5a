"""The textures that frost and fog lay over an image."""

import functools
import importlib.util
import logging
import pathlib

import numpy as np

from keras_snn.corruptions.libraries import require

# Mean colour and standard deviation of Hendrycks's photographs 1 to 5.
_PHOTOGRAPHS = (
    ((78, 149, 166), 20),
    ((201, 205, 214), 22),
    ((201, 205, 214), 22),
    ((138, 153, 165), 29),
    ((112, 123, 135), 43),
)
_NAMES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")


def plasma(uniforms, decay):
    """Clouds by the diamond-square algorithm, a batch at a time.

    Args:
        uniforms: Floats (n, size * size) in [-1, 1], `size` a power of two.
        decay: Float, above 1; what the roughness is divided by at each step.

    Returns:
        Floats (n, size, size), each cloud spanning [0, 1].
    """
    n, size = len(uniforms), int(uniforms.shape[1] ** 0.5)
    clouds = np.zeros((n, size, size), np.float32)
    roughness, used, step = 100.0, 0, size
    while step >= 2:
        half = step // 2
        corners = clouds[:, ::step, ::step]
        centres = clouds[:, half::step, half::step]
        rows = clouds[:, ::step, half::step]
        columns = clouds[:, half::step, ::step]
        wobbles = uniforms[:, used : used + 3 * centres[0].size]
        # The published generator scales the roughness by itself.
        wobbles = wobbles.reshape(n, 3, *centres.shape[1:]) * roughness**2
        right, down = _next(corners, 2), _next(corners, 1)
        centres[:] = (corners + right + down + _next(right, 1)) / 4
        centres += wobbles[:, 0]
        rows[:] = (corners + right + centres + _next(centres, 1, -1)) / 4
        rows += wobbles[:, 1]
        columns[:] = (corners + down + centres + _next(centres, 2, -1)) / 4
        columns += wobbles[:, 2]
        used, step, roughness = used + wobbles[0].size, half, roughness / decay
    clouds -= clouds.min((1, 2), keepdims=True)
    return clouds / clouds.max((1, 2), keepdims=True)


def _next(grid, axis, places=1):
    return np.roll(grid, -places, axis)


def frost_source():
    """Where frost's textures come from.

    Returns:
        `"imagecorruptions"`: the photographs of the published sets, which an
        installed imagecorruptions-imaug carries; or `"generated"`: needles of
        our own, with each photograph's mean colour and contrast.
    """
    return "generated" if _photograph_folder() is None else "imagecorruptions"


@functools.lru_cache(maxsize=8)
def frost_textures(scale, height, width):
    """The five textures, each larger than an image of that size.

    Args:
        scale: Float, by which the photographs are shrunk.
        height: Int, in pixels.
        width: Int, in pixels.

    Returns:
        A list of uint8 arrays (rows, cols, 3), RGB.
    """
    cv2 = require("cv2")

    def fit(texture):
        rows, cols = texture.shape[:2]
        factor = max(scale, (height + 1) / rows, (width + 1) / cols)
        return cv2.resize(texture, (round(cols * factor), round(rows * factor)))

    return [fit(texture) for texture in _full_size_textures()]


@functools.lru_cache(maxsize=1)
def _full_size_textures():
    cv2 = require("cv2")
    folder = _photograph_folder()
    logging.getLogger(__name__).info("Frost textures: %s", frost_source())
    if folder is None:
        return [_needles(i, *look) for i, look in enumerate(_PHOTOGRAPHS)]
    return [cv2.imread(str(folder / name))[..., ::-1] for name in _NAMES]


def _photograph_folder():
    spec = importlib.util.find_spec("imagecorruptions")
    if spec is None or spec.origin is None:
        return None
    folder = pathlib.Path(spec.origin).parent / "frost"
    return folder if all((folder / name).is_file() for name in _NAMES) else None


def _needles(seed, colour, contrast, size=512, count=6000):
    """Ice needles over clouds."""
    cv2 = require("cv2")
    rng = np.random.default_rng(seed)
    ice = plasma(rng.uniform(-1, 1, (1, size * size)), 1.7)[0]
    ends = rng.uniform(0, size, (count, 1, 2)) + rng.normal(
        0, size / 40, (count, 2, 2)
    )
    for needle in ends.round().astype(np.int32):
        shade = float(rng.uniform(0, 1))
        cv2.polylines(ice, [needle], False, shade, 1, cv2.LINE_AA)
    ice = cv2.GaussianBlur(ice, (0, 0), 0.7)
    ice = (ice - ice.mean()) / ice.std()
    return np.clip(
        np.multiply.outer(ice, [contrast] * 3) + colour, 0, 255
    ).astype(np.uint8)
