"""The logits of a trial on its test images, kept beside its result.

In half precision, less the highest of each row: that changes no probability,
and puts the differences that matter where half precision is finest. So the
predicted class stays, but where two logits are within 3e-8 of each other.
"""

from typing import NamedTuple

import numpy as np

from keras_snn.datasets.npz import read_npz
from keras_snn.files import written

FILE = "predictions.npz"
KEYS = ("trial", "logits", "y")
LOWEST = np.finfo("float16").min


class Predictions(NamedTuple):
    """What a network says of the test images, for `keras_snn.evaluation`.

    Attributes:
        logits: Float32 of shape (n, classes), the highest of each row 0.
        y: True classes, int32 of shape (n,).
    """

    logits: np.ndarray
    y: np.ndarray


def save(folder, trial, logits, y):
    """Writes a trial's predictions into a folder, whole or not at all."""
    logits = np.asarray(logits, "float32")
    logits = logits - logits.max(axis=1, keepdims=True)
    path = folder / FILE
    with written(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            trial=trial.key,
            logits=np.maximum(logits, LOWEST).astype("float16"),
            y=np.asarray(y, "int32"),
        )


def load(folder, trial):
    """The predictions of a trial in its folder.

    Raises:
        FileNotFoundError: If there are none, as of trials of earlier versions.
        ValueError: If the file is damaged, or of another trial.
    """
    path = folder / FILE
    if not path.exists():
        raise FileNotFoundError(
            "A trial must have been run and its predictions kept, or nothing "
            f"can be told of them. Received: {path}, which is not there"
        )
    found = read_npz(path, KEYS)
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
    return Predictions(logits.astype("float32"), y)
