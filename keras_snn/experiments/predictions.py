"""The logits of a trial on its test images, kept beside its result.

And, where it attacks them, on the attacked ones, of which some are kept, too.
In half precision, less the highest of each row: that changes no probability,
and puts the differences that matter where half precision is finest. So the
predicted class stays, but where two logits are within 3e-8 of each other.
"""

from typing import NamedTuple

import numpy as np

from keras_snn.datasets.npz import read_npz
from keras_snn.files import written

FILE = "predictions.npz"
ATTACKED = "attacked.npz"
KEYS = ("trial", "logits", "y")
# How many attacked images are kept, spread evenly over the test images.
IMAGES = 128
LOWEST = np.finfo("float16").min


class Predictions(NamedTuple):
    """What a network says of the test images, for `keras_snn.evaluation`.

    Attributes:
        logits: Float32 of shape (n, classes), the highest of each row 0.
        y: True classes, int32 of shape (n,).
    """

    logits: np.ndarray
    y: np.ndarray


class Attacked(NamedTuple):
    """What a network says of test images that were attacked for it.

    Attributes:
        logits: Float32 of shape (n, classes), the highest of each row 0.
        y: True classes, int32 of shape (n,).
        places: Which test images are kept as attacked, ascending.
        x: These, uint8.
    """

    logits: np.ndarray
    y: np.ndarray
    places: np.ndarray
    x: np.ndarray


def save(folder, trial, logits, y):
    """Writes a trial's predictions into a folder, whole or not at all."""
    _save(folder / FILE, trial, logits, y)


def save_attacked(folder, trial, logits, y, x):
    """As `save`, of attacked images `x`, floats in [0, 1]; some are kept."""
    places = np.unique(np.linspace(0, len(x) - 1, IMAGES).astype("int32"))
    kept = np.rint(255 * x[places]).astype("uint8")
    _save(folder / ATTACKED, trial, logits, y, places=places, x=kept)


def _save(path, trial, logits, y, **others):
    logits = np.asarray(logits, "float32")
    logits = logits - logits.max(axis=1, keepdims=True)
    with written(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            trial=trial.key,
            logits=np.maximum(logits, LOWEST).astype("float16"),
            y=np.asarray(y, "int32"),
            **others,
        )


def load(folder, trial):
    """The `Predictions` of a trial in its folder.

    Raises:
        FileNotFoundError: If there are none, as of trials of earlier versions.
        ValueError: If the file is damaged, or of another trial.
    """
    found = _load(folder / FILE, trial, KEYS)
    return Predictions(found["logits"], found["y"])


def load_attacked(folder, trial):
    """The `Attacked` of a trial in its folder; raises as `load` does."""
    path = folder / ATTACKED
    found = _load(path, trial, (*KEYS, "places", "x"))
    places, x = found["places"], found["x"]
    inside = (
        len(places) and 0 <= places.min() and places.max() < len(found["y"])
    )
    if not inside or x.shape[:1] != places.shape or x.dtype != np.uint8:
        raise ValueError(
            f"{path} must hold uint8 images, and the place of each among the "
            f"{len(found['y'])} test images. Received: shape {x.shape}, "
            f"{x.dtype}, and {len(places)} places"
        )
    return Attacked(found["logits"], found["y"], places, x)


def _load(path, trial, keys):
    if not path.exists():
        raise FileNotFoundError(
            "A trial must have been run and its predictions kept, or nothing "
            f"can be told of them. Received: {path}, which is not there"
        )
    found = read_npz(path, keys)
    logits, y = found["logits"], found["y"]
    if str(found["trial"]) != trial.key:
        raise ValueError(
            f"{path} must be of the trial {trial.key}. "
            f"Received: that of {found['trial']}"
        )
    if logits.ndim != 2 or y.shape != logits.shape[:1]:
        raise ValueError(
            f"{path} must hold logits and a class for each row of them. "
            f"Received: shapes {logits.shape} and {y.shape}"
        )
    return {**found, "logits": logits.astype("float32")}
