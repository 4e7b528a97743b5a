"""Running trials: one, or a grid of them in turn."""

import contextlib
import dataclasses
import time
from collections.abc import Callable

import keras

from keras_snn.conversion import strip
from keras_snn.datasets import as_float
from keras_snn.experiments import cost
from keras_snn.experiments import data
from keras_snn.experiments.checkpoint import EpochCheckpoint
from keras_snn.experiments.kinds import KINDS
from keras_snn.experiments.kinds import hard_data
from keras_snn.experiments.methods import METHODS
from keras_snn.experiments.networks import MODELS
from keras_snn.experiments.provenance import provenance
from keras_snn.experiments.store import Store
from keras_snn.experiments.training import active_parameters
from keras_snn.experiments.training import build
from keras_snn.experiments.training import flops_of
from keras_snn.experiments.training import train
from keras_snn.experiments.view import Counts
from keras_snn.experiments.view import Lines
from keras_snn.experiments.view import Progress
from keras_snn.export import export_tflite
from keras_snn.files import write_csv
from keras_snn.flops import inference_flops
from keras_snn.flops import layer_densities
from keras_snn.masking.mask_state import sparsity

# Seconds until a trial that another process is at is asked for again.
WAIT = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How trials are run; nothing of it changes a result.

    Attributes:
        export: Whether to write each network as TFLite, too.
        keep_networks: Whether to keep the trained networks that nothing
            builds on.
        checkpoint_interval: Epochs between checkpoints.
        tensorboard: Folder for TensorBoard, where each trial has one. None for
            none.
        callbacks: Called as `callbacks(trial)`; gives callbacks of your own
            for `fit`: MLflow, Weights & Biases.
    """

    export: bool = False
    keep_networks: bool = True
    checkpoint_interval: int = 1
    tensorboard: str | None = None
    callbacks: Callable = lambda trial: []


def plan(trials):
    """Trials and all that they build on, each once, in an order to run them.

    Args:
        trials: List of `Trial`.

    Returns:
        A list of `Trial`.
    """
    ordered = {}

    def add(trial):
        for base in trial.builds_on:
            add(base)
        ordered.setdefault(trial)

    for trial in trials:
        add(trial)
    return list(ordered)


def run_grid(
    trials,
    out,
    *,
    data_dir=None,
    retry=False,
    say=print,
    view=None,
    on_result=None,
    **config,
):
    """Runs trials in turn; what is done already is not done again.

    A trial that fails is kept with its error, and the others go on. It is not
    tried again unless told to. Several processes may run grids on one store: a
    trial that one of them is at is left to it, and its result taken.

    Args:
        trials: List of `Trial`.
        out: Folder of the `Store`, where each trial is kept once.
        data_dir: Where the data lies, as for `keras_snn.datasets.load`.
        retry: Whether to run anew what failed before.
        say: Called with each line that tells how far it is.
        view: Tells how far it is in another way: see `view.py`.
        on_result: Called with the rows so far, whenever there is a new one.
        **config: Fields of `RunConfig`: `export`, `keep_networks`,
            `checkpoint_interval`, `tensorboard`, `callbacks`.

    Returns:
        A list of rows, dicts, in the order of the trials: see `run_trial`. One
        that failed has `error` in place of what was measured.
    """
    config, view = RunConfig(**config), view or Lines(say)
    store, steps = Store(out, data_dir), plan(trials)
    failed = {} if retry else failures(steps, store)
    asked = set(trials)
    todo = [t for t in left(steps, asked, store, config) if t not in failed]
    done = [t for t in steps if t not in {*todo, *failed}]
    rows = failed | {t: row for t in done if (row := store.result(t))}
    speed = cost.Speed(store.measured(), provenance())
    flops = {trial: _planned(trial, data_dir) for trial in todo}
    counts = Counts(len(rows) - len(failed), len(failed), len(todo))

    def found():
        return [rows[trial] for trial in trials if trial in rows]

    if on_result and found():
        on_result(found())
    while todo:
        counts.seconds = speed.seconds(flops)
        for trial in [t for t in todo if all(b in rows for b in t.builds_on)]:
            with store.claimed(trial) as mine:
                if not mine:  # Another process is at it.
                    continue
                view.begins(describe(trial), counts)
                export = config.export and trial in asked
                row = _attempt(trial, store, config, rows, view, export)
            todo.remove(trial)
            del flops[trial]
            rows[trial] = row
            counts.count(row)
            speed.add(row)
            view.ends(outcome(row), counts)
            if on_result and trial in asked:
                on_result(found())
            break
        else:
            time.sleep(WAIT)
    if not config.keep_networks:
        for trial in {*steps} - {b for t in steps for b in t.builds_on}:
            store.drop_network(trial)
    return found()


def _planned(trial, data_dir):
    """The FLOPs that a trial will compute; None if they cannot be counted."""
    try:
        images = data.training_images(trial, data_dir)
        return cost.computed_flops(trial, images)
    except ValueError:  # Said when the trial itself is run.
        return None


def failures(steps, store):
    """Of a plan, what failed before: a dict of trial to row."""
    rows = {trial: store.failure(trial) for trial in steps}
    return {t: r for t, r in rows.items() if r and not store.result(t)}


def left(steps, trials, store, config):
    """Of a plan, what is to be run yet.

    Args:
        steps: What `plan` returned.
        trials: A set of those that were asked for.
        store: The `Store`.
        config: The `RunConfig`.

    Returns:
        A list of `Trial`, in the order of the plan.
    """
    found, wanted = [], set()
    for trial in reversed(steps):
        row = store.result(trial)
        done = row is not None
        if trial in wanted:
            done = done and store.has_network(trial)
        if config.export and trial in trials:
            done = done and "tflite_bytes" in row
        if not done:
            found.append(trial)
            wanted.update(trial.builds_on)
    return found[::-1]


def _attempt(trial, store, config, rows, view, export):
    """The row of a trial: its result, or its error."""
    try:
        for base in trial.builds_on:
            if "error" in rows[base]:
                raise RuntimeError(
                    "What a trial builds on must be there. Received: "
                    f"{base.key}, which failed: {rows[base]['error']}"
                )
        return _result(trial, store, config, view, export)
    except ImportError:  # No fault of the trial's.
        raise
    except Exception as error:
        return store.fail(trial, error, **provenance())


def _result(trial, store, config, view, export):
    """The row of a trial, run if there is none or its network is missing."""
    row = store.result(trial)
    if row is None or not store.has_network(trial):
        row = _trained(trial, store, config, view)
    return exported(trial, store) if export else row


def run_trial(trial, out, *, data_dir=None, say=print, view=None, **config):
    """Trains and evaluates one network, or returns what it gave before.

    A run that was killed goes on from its last whole epoch. What it builds on
    is run first.

    Args:
        trial: The `Trial`.
        out: Folder of the `Store`.
        data_dir: Where the data lies, as for `keras_snn.datasets.load`.
        say: Called with each line that tells how far it is.
        view: Tells how far it is in another way: see `view.py`.
        **config: Fields of `RunConfig`, such as `export=True`.

    Returns:
        The result, a dict: the fields of the trial, `sparsity` achieved (that
        asked for is `requested_sparsity`), `clean_accuracy` and such as
        `adversarial_accuracy` on the test images, in [0, 1],
        `active_parameters`, `layer_densities`, `training_flops` (of methods
        that prune a trained network, with its training) and `inference_flops`
        of one image, `seconds` of training, sizes of files in bytes; and with
        what data, code, backend and device that was.

    Raises:
        ValueError: If the trial cannot be run on the data.
        FloatingPointError: If training gave NaN.
    """
    store, view = Store(out, data_dir), view or Lines(say)
    config, trials = RunConfig(**config), {trial}
    for step in left(plan(trials), trials, store, config):
        export = config.export and step == trial
        view.begins(describe(step), Counts(left=1))
        with _waited_for(step, store):
            row = _result(step, store, config, view, export)
        view.ends(outcome(row), Counts(done=1))
    return store.result(trial)


@contextlib.contextmanager
def _waited_for(trial, store):
    """A context in which no other process runs the trial."""
    while True:
        with store.claimed(trial) as mine:
            if mine:
                yield
                return
        time.sleep(WAIT)


def describe(trial):
    """A trial in a few words."""
    method = METHODS[trial.method].label
    at = f" at sparsity {trial.sparsity:g}" if trial.sparsity else ""
    model = MODELS[trial.model].label
    return (
        f"{method}{at}, {model} on {trial.dataset}, data ratio "
        f"{trial.data_ratio:g}, seed {trial.seed}"
    )


def outcome(row):
    """A result in a few words."""
    if "error" in row:
        return f"failed: {row['error']}"
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.3f}"
        for name, value in row.items()
        if name.endswith("_accuracy")
    )


def _trained(trial, store, config, view):
    """The row of a trial, run from its checkpoint to its end."""
    trained, flops = None, 0
    if METHODS[trial.method].from_dense:
        trained = store.network(trial.dense).get_weights()
        flops = store.result(trial.dense)["training_flops"]
    unfinished = store.begin(trial)
    parts = data.parts(trial, store.data_dir)
    parts = [as_float(part) for part in hard_data(trial, parts, store)]
    images = len(parts[0].y)
    computed = cost.computed_flops(trial, images)
    keras.utils.clear_session()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(trial.precision)
    try:
        model, trainer = build(trial, images)
        checkpoint = EpochCheckpoint(unfinished, config.checkpoint_interval)
        callbacks = [*config.callbacks(trial), Progress(view.epoch)]
        if config.tensorboard:
            folder = f"{config.tensorboard}/{trial.key}"
            callbacks.append(keras.callbacks.TensorBoard(folder))
        train(trial, trainer, parts, trained, checkpoint, callbacks)
    finally:
        keras.config.set_dtype_policy(policy)
    result = {
        "sparsity": 0.0 if trial.method == "dense" else sparsity(model),
        **KINDS[trial.hard].evaluate(trial, trainer, parts[2]),
        "active_parameters": active_parameters(model),
        "layer_densities": layer_densities(model),
        "training_flops": flops
        + flops_of(trial, model, images, checkpoint.rows),
        "inference_flops": inference_flops(model),
        "computed_flops": computed,
        "seconds": sum(row["seconds"] for row in checkpoint.rows),
        "images": images,
        "network": cost.network(trial),
        "data": store.fingerprint(trial),
        **provenance(),
    }
    (model if trial.method == "dense" else strip(model)).save(
        unfinished / "model.keras"
    )
    rows = [
        {name: v for name, v in row.items() if name != "densities"}
        for row in checkpoint.rows
    ]
    write_csv(unfinished / "history.csv", rows)
    checkpoint.clear()
    return store.keep(trial, result)


def exported(trial, store):
    """The row of a trial that is done, its network written as TFLite."""
    result = store.result(trial)
    if "tflite_bytes" in result:
        return result
    place = store.place(trial)
    samples = as_float(data.parts(trial, store.data_dir)[2]).x[:8]
    report = export_tflite(
        store.network(trial), place / "model.tflite", samples=samples
    )
    sizes = {
        "tflite_bytes": report.size,
        "dense_tflite_bytes": report.dense_size,
    }
    store.add(trial, sizes)
    return store.result(trial)
