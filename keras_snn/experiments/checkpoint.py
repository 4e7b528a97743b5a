"""Training that goes on where it was stopped, as if it never had been."""

import time

import keras

from keras_snn.files import read_json
from keras_snn.files import write_json
from keras_snn.flops import layer_densities
from keras_snn.masking.snapshot import load_snapshot
from keras_snn.masking.snapshot import restore
from keras_snn.masking.snapshot import save_snapshot
from keras_snn.masking.snapshot import snapshot


class EpochCheckpoint(keras.callbacks.Callback):
    """Keeps the state after the last whole epoch in a folder.

    It holds all that training depends on, optimizer and random seeds too, and
    each file is whole or not there: a process may be killed at any moment.

    Args:
        folder: A `pathlib.Path` of an existing folder.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.rows = []

    def resume(self, model):
        """Puts a compiled model back to the last whole epoch, if there is one.

        Args:
            model: The model, just built and compiled.

        Returns:
            How many epochs are done.
        """
        found = max(self.folder.glob("epoch-*.npz"), default=None)
        if found is None:
            return 0
        done = int(found.stem.partition("-")[2])
        model.optimizer.build(model.trainable_variables)
        restore(model, load_snapshot(found))
        self.rows = read_json(self.folder / "history.json")[:done]
        return done

    def clear(self):
        """Removes the checkpoint; the history stays."""
        for path in (*self.folder.glob("epoch-*"), *self.folder.glob(".*")):
            path.unlink()  # Hidden files are of writes that were killed.

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._began
        row = {name: float(value) for name, value in (logs or {}).items()}
        network = getattr(self.model, "model", self.model)  # No adversary.
        row |= {"densities": layer_densities(network)}
        self.rows.append({"epoch": epoch + 1, "seconds": seconds, **row})
        write_json(self.folder / "history.json", self.rows)
        path = self.folder / f"epoch-{epoch + 1:06d}.npz"
        save_snapshot(path, snapshot(self.model))
        for older in self.folder.glob("epoch-*.npz"):
            if older < path:
                older.unlink()
