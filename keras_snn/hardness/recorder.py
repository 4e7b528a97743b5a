"""What callbacks that score samples during `fit` share."""

import os
from pathlib import Path

import keras
import numpy as np

from keras_snn.datasets.npz import read_npz
from keras_snn.files import written
from keras_snn.hardness.outputs import check_lengths
from keras_snn.hardness.scores import fingerprint
from keras_snn.shown import call_of

KEYS = ("recorder", "fingerprint", "epochs", "records")


class Recorder(keras.callbacks.Callback):
    """Records something of each sample after chosen epochs.

    A base class: see `EL2NRecorder` and `ForgettingRecorder`. It reaches the
    model through `self.model` alone, and changes nothing.

    Args:
        x: Samples, an array of shape (n, ...), un-augmented.
        y: Their classes, integers or one-hot.
        epochs: Epochs after which to record, counted from 1; `None` is every
            one.
        batch_size: Samples a batch.
        path: An `.npz` file to keep the records in, for a run that is killed
            and goes on: `fit(initial_epoch=...)` then finds in it the epochs
            before, and drops later ones.
    """

    def __init__(self, x, y, epochs=None, *, batch_size=128, path=None):
        super().__init__()
        check_lengths(x, y)
        self.x = x
        self.y = y
        self.epochs = None if epochs is None else _check_epochs(epochs)
        self.batch_size = batch_size
        self.path = None if path is None else os.fspath(path)
        self.records = {}
        self._fingerprint = None

    __repr__ = call_of

    def record(self, model):
        """What is recorded: an array of shape (n,)."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        total = self.params["epochs"]
        if self.epochs is not None and min(self.epochs) > total:
            raise ValueError(
                "Argument `epochs` must name epochs of the training, counted "
                f"from 1, or nothing is recorded. Received: {self.epochs} in "
                f"a training of {total}"
            )
        if self.path is not None and Path(self.path).exists():
            self.load()

    def on_epoch_begin(self, epoch, logs=None):
        # Later ones are of a course of training that is not this one.
        self.records = {e: r for e, r in self.records.items() if e <= epoch}

    def on_epoch_end(self, epoch, logs=None):
        if self.epochs is None or epoch + 1 in self.epochs:
            self.records[epoch + 1] = self.record(self.model)
            if self.path is not None:
                self._save()

    def get_config(self):
        """The arguments, for Keras to save."""
        return {
            "x": self.x,
            "y": self.y,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "path": self.path,
        }

    @classmethod
    def from_config(cls, config):
        """The callback of a config."""
        return cls(**config)

    def _recorded(self):
        """The records in the order of epochs, of shape (epochs, n)."""
        if not self.records:
            raise ValueError(
                f"{type(self).__name__} must be passed to `fit` before it has "
                "scores. Received: no records"
            )
        return np.stack([self.records[e] for e in sorted(self.records)])

    def _identity(self):
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.x, self.y)
        return type(self).__name__, self._fingerprint

    def _save(self):
        name, data = self._identity()
        with written(self.path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                recorder=name,
                fingerprint=data,
                epochs=sorted(self.records),
                records=self._recorded(),
            )

    def load(self):
        """Takes the records that the file at `path` holds.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If they are of another callback, or of other samples.
        """
        arrays = read_npz(self.path, KEYS)
        found = str(arrays["recorder"]), str(arrays["fingerprint"])
        if found != self._identity():
            raise ValueError(
                f"{self.path} must hold the records of this callback and of "
                "these samples; they are not mixed with others. Received: a "
                f"file of {found[0]}, data {found[1][:12]}..., not of "
                f"{type(self).__name__}, data {self._identity()[1][:12]}..."
            )
        epochs = arrays["epochs"].tolist()
        self.records = dict(zip(epochs, arrays["records"], strict=True))


def _check_epochs(epochs):
    epochs = tuple(epochs)
    whole = all(isinstance(e, int | np.integer) for e in epochs)
    if not epochs or not whole or min(epochs) < 1:
        raise ValueError(
            "Argument `epochs` must be at least one epoch, counted from 1. "
            f"Received: epochs={epochs}"
        )
    return tuple(int(e) for e in epochs)
