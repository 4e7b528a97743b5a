"""What the masks of a model do during `fit`, epoch by epoch."""

import math
import os
from pathlib import Path

import keras
import numpy as np

from keras_snn.extras import require
from keras_snn.files import read_csv
from keras_snn.files import write_csv
from keras_snn.masking.mask_state import masked_weights

COLUMNS = {
    "epoch": int,
    "weight": str,
    "size": int,
    "active": int,
    "grown": int,
    "dropped": int,
}


class MaskLog(keras.callbacks.Callback):
    """Records densities, and how many weights moved, after every epoch.

    It changes nothing. Put after the callback that changes masks, it adds
    `moved` to each epoch's `logs`, for the progress bar, CSVLogger and
    TensorBoard after it: the share of active weights that were not active an
    epoch before. `keras_snn.plot.densities(log)` and `moved(log)` draw what it
    has.

    Args:
        path: A CSV file to keep the rows in, whole after each epoch; a
            training that goes on (`initial_epoch`, `BackupAndRestore`) finds
            the epochs before in it, and drops later ones. Defaults to none.
        log_dir: A folder for TensorBoard, where each weight has curves of its
            own, `density/<weight>` and `moved/<weight>`; needs TensorFlow, as
            Keras's `TensorBoard` does. Defaults to none.

    Attributes:
        rows: List of dicts, one for each epoch and masked weight: `epoch`,
            counted from 1, 0 being before training; `weight`, its path;
            `size`; `active`, the number of active weights; `grown` and
            `dropped`, how many became active, or inactive, since the epoch
            before.

    Raises:
        ValueError: When training begins, if the model has no masks, or `path`
            is of another model.
        ImportError: When training begins, if `log_dir` needs TensorFlow and it
            is not installed.

    Example:

    ```python
    log = keras_snn.MaskLog("masks.csv")
    model.fit(x, y, epochs=20, callbacks=[keras_snn.SETUpdate(), log])
    keras_snn.plot.moved(log).savefig("moved.png")
    ```
    """

    def __init__(self, path=None, *, log_dir=None):
        super().__init__()
        self.path = None if path is None else os.fspath(path)
        self.log_dir = None if log_dir is None else os.fspath(log_dir)
        self.rows = []
        self._before = None
        self._writer = None

    def on_train_begin(self, logs=None):
        weights = masked_weights(self.model)  # Raises where there are none.
        if self.path is not None and Path(self.path).exists():
            self.rows = _read(self.path, weights)
        if self.log_dir is not None and self._writer is None:
            tf = require("tensorflow", "A log for TensorBoard")
            self._writer = tf.summary.create_file_writer(self.log_dir)
        self._before = _masks(weights)

    def on_epoch_begin(self, epoch, logs=None):
        # Later ones are of a course of training that is not this one.
        self.rows = [row for row in self.rows if row["epoch"] <= epoch]
        if epoch == 0:
            self.rows = _rows(0, self._before, self._before)

    def on_epoch_end(self, epoch, logs=None):
        masks = _masks(masked_weights(self.model))
        rows = _rows(epoch + 1, self._before, masks)
        self._before = masks
        self.rows += rows
        if logs is not None:
            logs["moved"] = _moved(
                sum(row["grown"] for row in rows),
                sum(row["active"] for row in rows),
            )
        if self.path is not None:
            write_csv(self.path, self.rows)
        if self._writer is not None:
            self._write(epoch, rows)

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def get_config(self):
        """The arguments, for Keras to save."""
        return {"path": self.path, "log_dir": self.log_dir}

    @classmethod
    def from_config(cls, config):
        """The callback of a config."""
        return cls(**config)

    def _write(self, epoch, rows):
        scalar = require("tensorflow", "A log for TensorBoard").summary.scalar
        with self._writer.as_default():
            for row in rows:
                name, active = row["weight"], row["active"]
                scalar(f"density/{name}", active / row["size"], step=epoch)
                scalar(f"moved/{name}", _moved(row["grown"], active), epoch)
        self._writer.flush()


def _masks(weights):
    # Copies: on torch, an array shares the memory of its tensor.
    return {path: m.mask_array().copy() for path, m in weights.items()}


def _rows(epoch, before, after):
    return [
        {
            "epoch": epoch,
            "weight": path,
            "size": mask.size,
            "active": int(np.count_nonzero(mask)),
            "grown": int(np.count_nonzero(mask & ~before[path])),
            "dropped": int(np.count_nonzero(before[path] & ~mask)),
        }
        for path, mask in after.items()
    ]


def _moved(grown, active):
    return grown / max(active, 1)


def _read(path, weights):
    """The rows of a file; raises a `ValueError` if they are not of a model."""
    rows = read_csv(path)
    sizes = {weight: math.prod(m.shape) for weight, m in weights.items()}
    try:
        rows = [
            {k: read(row[k]) for k, read in COLUMNS.items()} for row in rows
        ]
        whole = rows and all(
            sizes[row["weight"]] == row["size"] for row in rows
        )
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise ValueError(
            "Argument `path` must be a new file, or one that a `MaskLog` of "
            "this model wrote, or it would be overwritten. "
            f"Received: path={path!r}"
        )
    return rows
