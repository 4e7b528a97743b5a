"""The data of trials, decoded once a process."""

import functools
from pathlib import Path

from keras_snn import datasets
from keras_snn import hardness


@functools.lru_cache(maxsize=1)
def _decoded(source, data_dir):
    parts = source.read(data_dir, 0)
    for array in (array for part in parts for array in part):
        array.setflags(write=False)  # All trials share them.
    return parts


@functools.lru_cache(maxsize=8)
def _fingerprint(source, data_dir):
    train, validation, test = _decoded(source, data_dir)
    whole = datasets.merged(datasets.merged(train, validation), test)
    return hardness.fingerprint(*whole)


_SEEN = {}  # The files of each `data_dir`, when it was last looked at.


def forget_replaced(data_dir):
    """Has data read anew if files in `data_dir`, not deeper, have changed."""
    if data_dir is None:
        return
    path = Path(data_dir).expanduser()
    files = path.iterdir() if path.is_dir() else [path]
    now = {
        (file.name, state.st_size, state.st_mtime_ns)
        for file in files
        if file.exists() and (state := file.stat())
    }
    if _SEEN.setdefault(str(data_dir), now) != now:
        _SEEN[str(data_dir)] = now
        _decoded.cache_clear()
        _fingerprint.cache_clear()


def parts(trial, data_dir=None):
    """Training, validation and test images of a trial's data set.

    Args:
        trial: The `Trial`; only `dataset` and `hold_out` matter.
        data_dir: Where the data lies, as for `keras_snn.datasets.load`.

    Returns:
        Three `Split` of uint8 images and int32 labels.
    """
    source = datasets.SOURCES[trial.dataset]
    decoded = _decoded(source, data_dir and str(data_dir))
    return decoded if trial.hold_out else datasets.whole(*decoded)


def fingerprint(trial, data_dir=None):
    """What tells a trial's data set apart from others of its name."""
    source = datasets.SOURCES[trial.dataset]
    return _fingerprint(source, data_dir and str(data_dir))


def training_images(trial, data_dir=None):
    """How many images a trial trains on."""
    source = datasets.SOURCES[trial.dataset]
    train, validation, _ = _decoded(source, data_dir and str(data_dir))
    held_out = 0 if trial.hold_out else len(validation.y)
    return round(trial.data_ratio * (len(train.y) + held_out))
