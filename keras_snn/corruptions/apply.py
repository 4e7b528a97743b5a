"""Corrupt a batch of images, each by a random stream of its own."""

import functools
import zlib

import numpy as np

from keras_snn.checks import check_integer
from keras_snn.corruptions import cache
from keras_snn.corruptions import corruptions
from keras_snn.corruptions.checks import check_choice
from keras_snn.corruptions.checks import check_ids
from keras_snn.corruptions.checks import check_images
from keras_snn.corruptions.severities import SEVERITIES
from keras_snn.corruptions.severities import TABLES
from keras_snn.corruptions.severities import parameters
from keras_snn.corruptions.severities import table_for
from keras_snn.corruptions.textures import frost_source

CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
EXTRA_CORRUPTIONS = ("speckle_noise", "gaussian_blur", "spatter", "saturate")

_ALL = CORRUPTIONS + EXTRA_CORRUPTIONS

# Raise it with any change that alters a result: cached images are then stale.
VERSION = 1
_VALUES_AT_A_TIME = 2**17


def corrupt(
    images,
    corruption="mixed",
    severity=5,
    *,
    seed=0,
    table=None,
    ids=None,
    cache_dir=None,
    verbose=False,
):
    """Corrupt images as CIFAR-10-C, Tiny ImageNet-C or ImageNet-C were.

    The result for an image depends on its pixels, its id, the corruption, the
    severity, the seed and the table, and on nothing else: neither its place in
    the batch nor the batch. One seed gives an image the same random draws at
    every severity, and in `"mixed"` the same type; give training and test
    images different seeds, or image i of both gets the same noise.

    The published sets were drawn without a seed, so they are matched in
    distribution, not bit for bit.

    Args:
        images: uint8 array (n, height, width, 3 or 1), 0 to 255.
        corruption: A name from `CORRUPTIONS` or `EXTRA_CORRUPTIONS`, or
            `"mixed"`: each image gets one of `CORRUPTIONS`, drawn by seed. See
            `mixed_corruptions` for which.
        severity: Int, 1 to 6. Hendrycks & Dietterich stop at 5; 6 takes each
            parameter's last step once more (see `severities.py`).
        seed: Int >= 0.
        table: Whose severities to use: `"cifar32"`, `"tiny64"`,
            `"imagenet224"`, or `None`: by image size, 32, 64 or 224 pixels.
        ids: Ints (n,) >= 0, one an image, for a subset to get what it gets in
            the whole: `corrupt(x[a], ids=a)` is `corrupt(x)[a]`. `None` numbers
            the images from 0.
        cache_dir: Folder that keeps the result, so that the next call with the
            same images and arguments reads it; `None` keeps nothing.
        verbose: Whether to show a progress bar.

    Returns:
        A new uint8 array, shaped as `images`.

    Raises:
        ValueError: If an argument is not as said above, or no table was
            published for the size of the images and none is named.
        ImportError: If an image library is missing.

    Example:

    ```python
    x_train = corrupt(x_train, "mixed", severity=5, seed=0, cache_dir="cache")
    x_test = corrupt(x_test, "gaussian_noise", severity=3, seed=1)
    ```

    Reference: [Benchmarking Neural Network Robustness to Common Corruptions
    and Perturbations](https://arxiv.org/abs/1903.12261).
    """
    images = check_images(images)
    check_choice("corruption", corruption, ("mixed", *_ALL))
    check_choice("severity", severity, SEVERITIES)
    check_integer("seed", seed, 0, "or no result could be made again")
    table = table_for(*images.shape[1:3]) if table is None else table
    check_choice("table", table, tuple(TABLES))
    ids = check_ids(ids, len(images))
    make = functools.partial(
        _corrupt, images, corruption, severity, seed, table, ids, verbose
    )
    if cache_dir is None:
        return make()
    settings = {
        "corruption": corruption,
        "severity": int(severity),
        "seed": int(seed),
        "table": table,
        "version": VERSION,
    }
    if corruption in ("mixed", "frost"):
        settings["frost"] = frost_source()
    return cache.load_or_make(cache_dir, settings, (images, ids), make)


def mixed_corruptions(ids, *, seed=0):
    """The corruption that each image gets in `corrupt(images, "mixed")`.

    Args:
        ids: Ints (n,) >= 0, as given to `corrupt`; its default is
            `range(len(images))`.
        seed: Int >= 0.

    Returns:
        Array (n,) of names from `CORRUPTIONS`.

    Raises:
        ValueError: If an id or the seed is not an int >= 0.

    Example:

    ```python
    names = mixed_corruptions(range(len(images)), seed=0)
    ```
    """
    check_integer("seed", seed, 0, "or no result could be made again")
    rngs = _generators(seed, "mixed", check_ids(ids, np.size(ids)))
    drawn = [rng.integers(len(CORRUPTIONS)) for rng in rngs]
    return np.array(CORRUPTIONS)[np.array(drawn, int)]


def _corrupt(images, corruption, severity, seed, table, ids, verbose):
    names = np.full(len(images), corruption)
    if corruption == "mixed":
        names = mixed_corruptions(ids, seed=seed)
    corrupted = np.empty_like(images)
    advance = _progress_bar(len(images)) if verbose else None
    for name, batch in _batches(names, images[:1].size):
        corrupted[batch] = getattr(corruptions, name)(
            images[batch],
            _generators(seed, name, ids[batch]),
            *parameters(name, severity, table),
        )
        if advance:
            advance(len(batch))
    return corrupted


def _generators(seed, name, ids):
    stream = zlib.crc32(name.encode())
    return [np.random.default_rng([seed, int(i), stream]) for i in ids]


def _batches(names, values_per_image):
    """Each name with the indices of its images, some at a time."""
    size = max(1, _VALUES_AT_A_TIME // max(1, values_per_image))
    for name in np.unique(names):
        indices = np.flatnonzero(names == name)
        for start in range(0, len(indices), size):
            yield name, indices[start : start + size]


def _progress_bar(total):
    import keras

    return keras.utils.Progbar(total, unit_name="image").add
