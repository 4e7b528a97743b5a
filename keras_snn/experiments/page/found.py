"""What is known of a grid: its rows, and what the store keeps of each trial."""

import dataclasses
from typing import NamedTuple

import numpy as np

from keras_snn.experiments import data
from keras_snn.experiments import grid
from keras_snn.experiments import predictions
from keras_snn.experiments.grid_files import read_rows
from keras_snn.experiments.kinds import KINDS
from keras_snn.experiments.methods import METHODS
from keras_snn.experiments.store import read
from keras_snn.experiments.store import read_history
from keras_snn.experiments.trial import unknown
from keras_snn.files import read_json
from keras_snn.hardness.outputs import log_softmax


class Answers(NamedTuple):
    """What a network says of the test images.

    Attributes:
        predicted: Its classes, int32 of shape (n,).
        y: The true ones.
        error: EL2N of the trained network, float32 of shape (n,).
        classes: How many classes there are.
    """

    predicted: np.ndarray
    y: np.ndarray
    error: np.ndarray
    classes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """All that a page shows of a grid.

    Attributes:
        name: Of the grid.
        rows: List of rows, with `layer_densities` where the store has them.
        about: What was asked, and by which code: `grid.json`.
        curves: Dict of a trial's key to columns of `history.csv`, floats.
        answers: Dict of a trial's key to `Answers`.
        attacked: The same, of attacked test images.
        images: Called as `images(row, places)`, with a row and indices of test
            images; gives a dict of what is shown to uint8 images, or raises a
            ValueError that says why there are none.
        attacked_images: Called as `attacked_images(row)`, with a row whose key
            `attacked` has; gives the indices of the test images of which the
            attacked ones are kept, and these in uint8.
    """

    name: str
    rows: list
    about: dict = dataclasses.field(default_factory=dict)
    curves: dict = dataclasses.field(default_factory=dict)
    answers: dict = dataclasses.field(default_factory=dict)
    attacked: dict = dataclasses.field(default_factory=dict)
    images: object = None
    attacked_images: object = None

    @property
    def done(self):
        """The rows of trials that did not fail."""
        return [row for row in self.rows if "error" not in row]

    @property
    def left(self):
        """The keys of trials that were asked for and have no row."""
        known = {row["trial"] for row in self.rows}
        return [k for k in self.about.get("trials", ()) if k not in known]


def find(folder, store):
    """What is known of a grid.

    Args:
        folder: A `pathlib.Path`, of its results.
        store: The `Store` of its trials. What is not in it is left out.

    Returns:
        A `Found`.

    Raises:
        OSError: If the folder has no `results.csv`.
        ValueError: If a method is not known, or a file is damaged.
    """
    rows, curves, answers, attacked, trials = [], {}, {}, {}, {}
    for row in read_rows(folder / "results.csv"):
        if row["method"] not in METHODS:
            raise ValueError(
                unknown("A method in the results", row["method"], METHODS)
                + "; what registers others is named by --module"
            )
        key = row["trial"]
        place = _place(row, store)
        if "data" in row and (place / "trial.json").exists():
            trial = _trial(place / "trial.json")
            row = read(trial, place)
            trials[key] = trial
            curves[key] = read_history(trial, place)
            if (place / predictions.FILE).exists():
                answers[key] = answered(*predictions.load(place, trial))
            if (place / predictions.ATTACKED).exists():
                of = predictions.load_attacked(place, trial)
                attacked[key] = answered(of.logits, of.y)
        rows.append(row)
    about = folder / "grid.json"
    return Found(
        name=folder.resolve().name,
        rows=rows,
        about=read_json(about) if about.exists() else {},
        curves=curves,
        answers=answers,
        attacked=attacked,
        images=lambda row, places: _images(row, places, trials, store),
        attacked_images=lambda row: _attacked_images(row, trials, store),
    )


def _trial(path):
    """The trial that a file of the store tells of."""
    try:
        return grid.trial_of(read_json(path))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path} must hold the fields of a trial. Reading it: {error}"
        ) from error


def _place(row, store):
    """The folder of a trial, by its row: data is not read for it."""
    name = f"{row['trial']}-{row.get('data', '')[:8]}"
    return store.folder / "trials" / name


def answered(logits, y):
    """The `Answers` of a network.

    Args:
        logits: Floats of shape (n, classes).
        y: True classes, integers of shape (n,).
    """
    errors = np.exp(log_softmax(np.asarray(logits, "float64")))
    errors[np.arange(len(y)), y] -= 1
    return Answers(
        np.argmax(logits, axis=1).astype("int32"),
        np.asarray(y),
        np.sqrt(np.square(errors).sum(axis=1)).astype("float32"),
        logits.shape[1],
    )


def _images(row, places, trials, store):
    if store.data_dir is None and row["dataset"] != "digits":
        raise ValueError(
            f"images of {row['dataset']} are shown where option --data-dir "
            "tells where they lie"
        )
    trial = trials[row["trial"]]
    if store.fingerprint(trial) != row["data"]:
        raise ValueError(
            f"the data in {store.data_dir} is not that of the trials"
        )
    clean = data.parts(trial, store.data_dir)[2].x
    seen = KINDS[trial.hard].change(trial, clean, 2, store)
    if np.array_equal(clean[places], seen[places]):
        return {"as it is": clean[places]}
    return {"as networks saw it": seen[places], "as it is": clean[places]}


def _attacked_images(row, trials, store):
    of = predictions.load_attacked(_place(row, store), trials[row["trial"]])
    return of.places, of.x
