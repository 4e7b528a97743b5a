"""Training that goes on where it was stopped, as if it never had been."""

import json
import math
import time
import warnings

import keras

from keras_snn.files import written
from keras_snn.flops import layer_densities
from keras_snn.masking.mask_state import method_state
from keras_snn.masking.snapshot import load_snapshot
from keras_snn.masking.snapshot import restore
from keras_snn.masking.snapshot import save_snapshot
from keras_snn.masking.snapshot import snapshot


class EpochCheckpoint(keras.callbacks.Callback):
    """Keeps the state after whole epochs in a folder.

    It holds all that training depends on, the optimizer, random seeds and what
    a method keeps (`MaskUpdate.state`) too, and each file is whole or not
    there: a process may be killed at any moment. Training that gives NaN is an
    error, after that epoch.

    Args:
        folder: A `pathlib.Path` of an existing folder.
        interval: Epochs between checkpoints.
        of: What is trained, a str: a checkpoint of anything else is not gone
            on from.
    """

    def __init__(self, folder, interval=1, of=""):
        super().__init__()
        self.folder = folder
        self.interval = interval
        self.of = of
        self.rows = []

    def resume(self, model):
        """Puts a compiled model back to the last whole epoch, if there is one.

        Args:
            model: The model, just built and compiled.

        Returns:
            How many epochs are done.
        """
        for path in sorted(self.folder.glob("epoch-*.npz"), reverse=True):
            try:
                saved = load_snapshot(path)
                about = json.loads(saved.about)
                rows, done = about["rows"], int(path.stem.partition("-")[2])
                if (about["of"], len(rows)) != (self.of, done):
                    raise ValueError(
                        f"it is of {about['of']!r} after {len(rows)} epochs, "
                        f"not of {self.of!r} after {done}"
                    )
                model.optimizer.build(model.trainable_variables)
                restore(model, saved.arrays)
            except Exception as error:
                warnings.warn(
                    f"{path} cannot be gone on from, so training begins "
                    f"before it. Reading it: {error!r}",
                    stacklevel=2,
                )
                continue
            state = method_state(model)
            state.clear()
            state.update(saved.state)
            self.rows = rows
            return done
        return 0

    def clear(self):
        """Removes the checkpoint."""
        for path in (*self.folder.glob("epoch-*"), *self.folder.glob(".*")):
            path.unlink()  # Hidden files are of writes that were killed.

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._began
        row = {name: float(value) for name, value in (logs or {}).items()}
        for name, value in row.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    "Training must stay finite, or its result means nothing. "
                    f"Received: {name}={value} after epoch {epoch + 1}"
                )
        network = getattr(self.model, "model", self.model)  # No adversary.
        row |= {"densities": layer_densities(network)}
        self.rows.append({"epoch": epoch + 1, "seconds": seconds, **row})
        last = epoch + 1 == self.params["epochs"]
        if last or (epoch + 1) % self.interval == 0:
            self._save(epoch + 1)

    def _save(self, done):
        path = self.folder / f"epoch-{done:06d}.npz"
        about = json.dumps({"of": self.of, "rows": self.rows})
        state = method_state(self.model)
        save_snapshot(path, snapshot(self.model), state, about)
        for older in self.folder.glob("epoch-*"):
            if older.stem < path.stem:
                older.unlink()


def packed(folder):
    """The checkpoint in a folder, a dict of file name to bytes."""
    return {p.name: p.read_bytes() for p in folder.glob("epoch-*")}


def unpack(folder, files):
    """Puts a checkpoint into a folder in the place of older ones.

    Args:
        folder: A `pathlib.Path` of an existing folder.
        files: What `packed` returned elsewhere.
    """
    for name in files:
        with written(folder / name) as temporary:
            temporary.write_bytes(files[name])
    for older in folder.glob("epoch-*") if files else ():
        if older.name not in files:
            older.unlink()
