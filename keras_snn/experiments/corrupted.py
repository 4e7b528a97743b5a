"""Corrupted images: each with one corruption, by seed.

Paper and official code of "Are Sparse Neural Networks Better Hard Sample
Learners?", https://arxiv.org/abs/2409.09196, do not say which corruptions. The
code reads files as those of "Learning from Failure", arXiv 2007.02561
(alinlab/LfF), which know two sets of ten.
"""

import functools

import numpy as np

from keras_snn.corruptions import CORRUPTIONS
from keras_snn.corruptions import EXTRA_CORRUPTIONS
from keras_snn.corruptions import corrupt

SETS = {
    "lff0": (
        "snow",
        "frost",
        "fog",
        "brightness",
        "contrast",
        "spatter",
        "elastic_transform",
        "jpeg_compression",
        "pixelate",
        "saturate",
    ),
    "lff1": (
        "gaussian_noise",
        "shot_noise",
        "impulse_noise",
        "speckle_noise",
        "gaussian_blur",
        "defocus_blur",
        "glass_blur",
        "motion_blur",
        "zoom_blur",
        "original",
    ),
}
KNOWN = ("mixed", *SETS, *CORRUPTIONS, *EXTRA_CORRUPTIONS)


def corrupted(trial, images, part, store):
    """The images, each corrupted; those of each part by a seed of their own.

    Args:
        trial: A `Trial` with `corruptions`: `"mixed"`, one of Hendrycks's
            fifteen to an image; `"lff0"` or `"lff1"`, one of ten of LfF; or
            the name of one corruption, for all.
        images: uint8 of shape (n, rows, cols, 3).
        part: Which part they are, the seed of the draw.
        store: The `Store`, which keeps the images.

    Returns:
        A uint8 array of the same shape.

    Raises:
        ValueError: If the corruptions are not known.
    """
    if trial.corruptions not in KNOWN:
        raise ValueError(
            f"Option `corruptions` must be one of {list(KNOWN)}. Received: "
            f"corruptions={trial.corruptions!r}"
        )
    make = functools.partial(
        corrupt,
        severity=trial.severity,
        seed=part,
        cache_dir=store.folder / "corrupted",
    )
    if len(images) == 0:
        return images
    if trial.corruptions not in SETS:
        return make(images, trial.corruptions)
    names = SETS[trial.corruptions]
    drawn = np.random.default_rng(part).integers(len(names), size=len(images))
    changed = images.copy()
    for number, name in enumerate(names):
        rows = np.flatnonzero(drawn == number)
        if name != "original" and len(rows):
            changed[rows] = make(images[rows], name, ids=rows)
    return changed
