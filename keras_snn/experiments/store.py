"""Results and networks of trials, each kept once, whole or not at all."""

import contextlib
import dataclasses
import json
import os
import shutil
import traceback
from pathlib import Path

import keras

from keras_snn.experiments import data
from keras_snn.experiments import predictions
from keras_snn.experiments.trial import all_options
from keras_snn.files import digest
from keras_snn.files import locked
from keras_snn.files import read_csv
from keras_snn.files import read_json
from keras_snn.files import write_json
from keras_snn.files import written


class Store:
    """A folder that all recipes may share: a trial is trained once.

    A trial's folder is named by its key and its data: `result.json`,
    `trial.json`, `history.csv`, `predictions.npz`, `model.keras`,
    `attacked.npz` where test images were attacked, and `model.tflite` where it
    was asked for. It appears when it is whole.
    `<folder>.unfinished` holds what a trial goes on from,
    `<folder>.failed.json` why it cannot.

    Args:
        folder: Where; made when something is kept.
        data_dir: Where the data lies, as for `keras_snn.datasets.load`. It may
            move: results know their data by its fingerprint.
    """

    def __init__(self, folder, data_dir=None):
        data.forget_replaced(data_dir)
        self.folder = Path(folder)
        self.data_dir = data_dir

    def fingerprint(self, trial):
        """That of a trial's data, which is read for it."""
        return data.fingerprint(trial, self.data_dir)

    def place(self, trial):
        """The folder of a trial on this data."""
        name = f"{trial.key}-{self.fingerprint(trial)[:8]}"
        return self.folder / "trials" / name

    def result(self, trial):
        """The row of a trial that is done: see `row`. None if it is not."""
        return read(trial, self.place(trial))

    def failure(self, trial):
        """The row of a trial that failed, with its `error`, or None."""
        return _read_failure(trial, self.place(trial))

    def network(self, trial):
        """The trained network of a trial that is done.

        Raises:
            FileNotFoundError: If it was not kept.
            ValueError: If the file is damaged, or another network's.
        """
        path = self.place(trial) / "model.keras"
        if not path.exists():
            raise FileNotFoundError(
                "A network must have been trained and kept, or nothing can "
                f"build on it. Received: {path}, which is not there"
            )
        known = self.result(trial).get("weights_sha256")
        try:
            network = keras.saving.load_model(path)
            if known not in (None, weights_digest(network)):
                raise ValueError("its weights are those of another")
        except ImportError:
            raise
        except Exception as error:  # Damage may raise anything.
            raise ValueError(
                f"{path} must be the network that its trial trained, or what "
                "builds on it builds on another: delete it to have it trained "
                f"anew. Reading it: {error!r}"
            ) from error
        return network

    def has_network(self, trial):
        """Whether the trained network of a trial is there."""
        return (self.place(trial) / "model.keras").exists()

    def drop_network(self, trial):
        """Removes the trained network of a trial; its result stays."""
        (self.place(trial) / "model.keras").unlink(missing_ok=True)

    def predictions(self, trial):
        """The `Predictions` of a trial that is done, on clean test images.

        Raises:
            FileNotFoundError: If they were not kept.
            ValueError: If they are damaged, or of another trial.
        """
        return predictions.load(self.place(trial), trial)

    def attacked(self, trial):
        """The `Attacked` of a trial that is done, of attacked test images.

        Raises:
            As `predictions`.
        """
        return predictions.load_attacked(self.place(trial), trial)

    def history(self, trial):
        """The columns of the `history.csv` of a trial that is done.

        Returns:
            A dict of name to a list of floats, one for each epoch, NaN where
            there is none.

        Raises:
            ValueError: If the file is damaged, or missing.
        """
        return read_history(trial, self.place(trial))

    def claimed(self, trial):
        """A context in which no other process runs the trial.

        It gives whether that is so: False where another process has it.
        """
        name = f"{self.place(trial).name}.lock"
        return locked(self.folder / "locks" / name)

    def begin(self, trial):
        """The folder in which a trial is made, with what it goes on from."""
        place = self.place(trial)
        failed(place).unlink(missing_ok=True)
        unfinished = place.with_name(place.name + ".unfinished")
        unfinished.mkdir(parents=True, exist_ok=True)
        return unfinished

    def keep(self, trial, result):
        """Makes a trial's unfinished folder the one of its result."""
        unfinished, place = self.begin(trial), self.place(trial)
        write_json(unfinished / "trial.json", trial.content)
        _write(unfinished / "result.json", {"trial": trial.key, **result})
        if place.exists():  # Without the network that is now there.
            shutil.rmtree(place)
        os.replace(unfinished, place)
        return self.result(trial)

    def files(self, trial):
        """What a trial left in this store, a dict of file name to bytes.

        Of one that failed that is the file of its error alone.
        """
        place = self.place(trial)
        if place.exists():
            return {path.name: path.read_bytes() for path in place.iterdir()}
        return {failed(place).name: failed(place).read_bytes()}

    def take(self, trial, files):
        """Keeps what a trial left in another store.

        Args:
            trial: The `Trial`.
            files: What `files` of that store returned.

        Returns:
            Its row.
        """
        unfinished, place = self.begin(trial), self.place(trial)
        error = files.get(failed(place).name)
        if error is not None:
            with written(failed(place)) as temporary:
                temporary.write_bytes(error)
            shutil.rmtree(unfinished)
            return self.failure(trial)
        for name, content in files.items():
            with written(unfinished / name) as temporary:
                temporary.write_bytes(content)
        for path in unfinished.glob("epoch-*"):
            path.unlink()
        return self.keep(trial, _checked(trial, unfinished / "result.json"))

    def add(self, trial, values):
        """Adds to the result of a trial that is done."""
        path = self.place(trial) / "result.json"
        _write(path, {**_checked(trial, path), **values})

    def fail(self, trial, error, **about):
        """Keeps why a trial cannot be, in the place of what it made so far."""
        place = self.place(trial)
        place.parent.mkdir(parents=True, exist_ok=True)
        lines = traceback.format_exception(error)
        write_json(
            failed(place),
            {
                "trial": trial.key,
                "fields": trial.content,
                "error": f"{type(error).__name__}: {error}",
                "traceback": "".join(lines).splitlines(),
                **about,
            },
        )
        shutil.rmtree(
            place.with_name(place.name + ".unfinished"), ignore_errors=True
        )
        return self.failure(trial)

    def rows(self, trials):
        """The rows of those trials that are done or failed.

        Data is read only where trials of one key were run on several.
        """
        folder = self.folder / "trials"
        names = sorted(os.listdir(folder)) if folder.exists() else []
        places = {}
        for name in names:
            if not name.endswith(".unfinished"):
                key = name.partition(".failed")[0].rpartition("-")[0]
                place = folder / name.removesuffix(".failed.json")
                places.setdefault(key, []).append(place)
        found = []
        for trial in trials:
            known = dict.fromkeys(places.get(trial.key, ()))
            if len(known) > 1:
                known = [self.place(trial)]
            for place in known:
                row = read(trial, place) or _read_failure(trial, place)
                found += [row] if row else []
        return found

    def measured(self):
        """The results of all trials that were ever run, for their times.

        What is damaged is left out: it is named where it is asked for.
        """
        found = []
        for path in (self.folder / "trials").glob("*/result.json"):
            if not path.parent.name.endswith(".unfinished"):
                with contextlib.suppress(ValueError):
                    found.append(_whole(path))
        return found


def weights_digest(network):
    """What tells the weights of a network from those of another, a str."""
    return digest(b"".join(w.tobytes() for w in network.get_weights()))


def row(trial, result):
    """A result with the fields of its trial: what figures and tables take.

    Args:
        trial: The `Trial`.
        result: A dict.

    Returns:
        A dict. The sparsity that was asked for is `requested_sparsity`,
        `sparsity` that achieved.
    """
    fields = dataclasses.asdict(trial)
    fields["requested_sparsity"] = fields.pop("sparsity")
    fields |= {
        name: getattr(trial, name, default)
        for name, default in all_options().items()
    }
    del fields["options"]
    return {"trial": trial.key, **fields, **result}


def failed(place):
    """The file of why a trial failed, beside the place of its folder."""
    return place.with_name(place.name + ".failed.json")


def read(trial, place):
    """The row of a trial that is done, from its folder. None if it is not."""
    if not place.exists():
        return None
    return row(trial, _checked(trial, place / "result.json"))


def read_history(trial, place):
    """The history of a trial that is done, from its folder: `Store.history`.

    Results of earlier versions do not know theirs: it is believed, and where
    there is none, there are no columns.
    """
    path = place / "history.csv"
    content = path.read_bytes() if path.exists() else b""
    known = read(trial, place).get("history_sha256")
    try:
        if known not in (None, digest(content)):
            raise ValueError("it is not as it was written")
        rows = read_csv(path) if content else []
        return {
            name: [float(row[name] or "nan") for row in rows]
            for name in (rows[0] if rows else ())
        }
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} must hold what its trial's training went through, or its "
            "curves are others: delete its folder to have it made anew. "
            f"Reading it: {error}"
        ) from error


def _read_failure(trial, place):
    if not failed(place).exists():
        return None
    found = _checked(trial, failed(place))
    return row(trial, {"error": found.get("error")})


def _write(path, result):
    """Writes a result, with a checksum: one wrong digit is JSON, too."""
    write_json(path, {**result, "checksum": _checksum(result)})


def _checksum(result):
    return digest(json.dumps(result, sort_keys=True).encode())[:16]


def _whole(path):
    """What a file of `_write` holds; earlier versions wrote no checksum."""
    try:
        found = read_json(path)
        known = found.pop("checksum", None)
        if "trial" not in found or known not in (None, _checksum(found)):
            raise ValueError("it is not as it was written")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} must hold what became of a trial, or its result is not "
            f"known: delete its folder to have it made anew. Reading it: "
            f"{error!r}"
        ) from error
    return found


def _checked(trial, path):
    """What a file holds, if it is of this trial."""
    found = _whole(path)
    if found["trial"] != trial.key:
        raise ValueError(
            f"{path} must be of the trial {trial.key}, or its result would be "
            f"taken for another's. Received: that of {found['trial']!r}"
        )
    return found
