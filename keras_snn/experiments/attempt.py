"""A trial as a function: of its fields, its data and the code, a result.

Whatever runs trials, in this process or elsewhere, calls `attempt`.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np

from keras_snn.checks import check_integer
from keras_snn.conversion import strip
from keras_snn.datasets import as_float
from keras_snn.evaluation import ece
from keras_snn.evaluation import nll
from keras_snn.experiments import cost
from keras_snn.experiments import data
from keras_snn.experiments import devices
from keras_snn.experiments import predictions
from keras_snn.experiments.checkpoint import EpochCheckpoint
from keras_snn.experiments.kinds import KINDS
from keras_snn.experiments.kinds import hard_data
from keras_snn.experiments.methods import METHODS
from keras_snn.experiments.networks import MODELS
from keras_snn.experiments.provenance import provenance
from keras_snn.experiments.store import weights_digest
from keras_snn.experiments.training import active_parameters
from keras_snn.experiments.training import build
from keras_snn.experiments.training import flops_of
from keras_snn.experiments.training import train
from keras_snn.experiments.view import Progress
from keras_snn.export import export_tflite
from keras_snn.extras import require
from keras_snn.files import digest
from keras_snn.files import write_csv
from keras_snn.flops import inference_flops
from keras_snn.flops import layer_densities
from keras_snn.masking.mask_state import sparsity


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How trials are run; nothing of it changes a result, but for rounding.

    Attributes:
        export: Whether to write each network as TFLite, too.
        keep_networks: Whether to keep the trained networks that nothing
            builds on.
        checkpoint_interval: Epochs between checkpoints.
        devices: How many devices share each training, the first that there
            are: on JAX, or on TensorFlow where no step draws at random. The
            batch size must be a multiple.
        tensorboard: Folder for TensorBoard, where each trial has one. None for
            none.
        callbacks: Called as `callbacks(trial)`; gives callbacks of your own
            for `fit`: MLflow, Weights & Biases.
    """

    export: bool = False
    keep_networks: bool = True
    checkpoint_interval: int = 1
    devices: int = 1
    tensorboard: str | None = None
    callbacks: Callable = lambda trial: []

    def __post_init__(self):
        check_integer("devices", self.devices, 1, "or nothing is trained")


def attempt(trial, store, config, view, export=False):
    """The row of a trial: its result, or its error, which is kept.

    It is trained if there is no result or its network is missing, from the
    checkpoint in its unfinished folder if there is one.

    Args:
        trial: The `Trial`; what it builds on is done.
        store: The `Store`.
        config: The `RunConfig`.
        view: Told of each epoch: see `view.py`.
        export: Whether to write the network as TFLite, too.

    Returns:
        A dict.

    Raises:
        ImportError: If a package is missing, which is no fault of the trial's.
    """
    try:
        return result(trial, store, config, view, export)
    except ImportError:
        raise
    except Exception as error:
        return store.fail(trial, error, **provenance(config.devices))


def result(trial, store, config, view, export=False):
    """As `attempt`, but what goes wrong is raised."""
    row = store.result(trial)
    if row is None or not store.has_network(trial):
        row = _trained(trial, store, config, view)
    return exported(trial, store) if export else row


def blocked(trial, store, rows):
    """The row of a trial that builds on one that failed, or None.

    Args:
        trial: The `Trial`.
        store: The `Store`, which keeps the error.
        rows: Dict of `Trial` to row, of all that it builds on.
    """
    failed = [base for base in trial.builds_on if "error" in rows[base]]
    if not failed:
        return None
    try:
        raise RuntimeError(
            "What a trial builds on must be there. Received: "
            f"{failed[0].key}, which failed: {rows[failed[0]]['error']}"
        )
    except RuntimeError as error:
        return store.fail(trial, error, **provenance())


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
    as_trained = trial.scheduled(images)
    computed = cost.computed_flops(trial, images)
    checkpoint = EpochCheckpoint(
        unfinished, config.checkpoint_interval, store.place(trial).name
    )
    callbacks = [
        *config.callbacks(trial),
        *_tensorboard(trial, config),
        Progress(functools.partial(view.epoch, describe(trial))),
    ]
    keras.utils.clear_session()
    those = devices.Devices(config.devices)
    with _policy(trial.precision):
        with those.scope():
            model, trainer = build(as_trained, *parts[0], checkpoint, trained)
        train(as_trained, trainer, parts, checkpoint, callbacks, those)
    logits = trainer.predict(parts[2].x, batch_size=256, verbose=0)
    evaluated = {"clean_accuracy": _accuracy(logits, parts[2].y)}
    predictions.save(unfinished, trial, logits, parts[2].y)
    evaluated |= KINDS[trial.hard].evaluate(trial, trainer, parts[2])
    evaluated |= _attacked(trial, trainer, parts[2], unfinished)
    result = {
        "sparsity": 0.0 if trial.method == "dense" else sparsity(model),
        **evaluated,
        "nll": nll(logits, parts[2].y),
        "ece": ece(logits, parts[2].y),
        "active_parameters": active_parameters(model),
        "layer_densities": layer_densities(model),
        "training_flops": flops
        + flops_of(as_trained, model, images, checkpoint.rows),
        "inference_flops": inference_flops(model),
        "computed_flops": computed,
        "seconds": sum(row["seconds"] for row in checkpoint.rows),
        "images": images,
        "network": cost.network(trial),
        "data": store.fingerprint(trial),
        **provenance(config.devices),
    }
    network = model if trial.method == "dense" else strip(model)
    network.save(unfinished / "model.keras")
    result["weights_sha256"] = weights_digest(network)
    rows = [
        {name: v for name, v in row.items() if name != "densities"}
        for row in checkpoint.rows
    ]
    write_csv(unfinished / "history.csv", rows)
    history = (unfinished / "history.csv").read_bytes()
    result["history_sha256"] = digest(history)
    checkpoint.clear()
    return store.keep(trial, result)


def _accuracy(logits, y):
    """The share of the test images that are classified rightly."""
    if not np.isfinite(logits).all():
        raise FloatingPointError(
            "Logits must be finite, or the network classifies nothing. "
            f"Received: {np.count_nonzero(~np.isfinite(logits))} that are not"
        )
    return float((logits.argmax(axis=1) == y).mean())


def _attacked(trial, trainer, test, folder):
    """The accuracy on attacked test images; the answers to them are kept."""
    attack = KINDS[trial.hard].attack(trial)
    if attack is None:
        return {}
    x = attack(trainer, *test)
    logits = trainer.predict(x, batch_size=128, verbose=0)
    predictions.save_attacked(folder, trial, logits, test.y, x)
    right = logits.argmax(axis=1) == test.y
    return {"adversarial_accuracy": float(right.mean())}


@contextlib.contextmanager
def _policy(name):
    """A context in which layers are made with that dtype policy."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _tensorboard(trial, config):
    """Keras's callback, which takes both packages on any backend."""
    if not config.tensorboard:
        return []
    require("tensorflow", "Option `tensorboard`")
    require("tensorboard", "Option `tensorboard`")
    folder = f"{config.tensorboard}/{trial.key}"
    return [keras.callbacks.TensorBoard(folder)]


def exported(trial, store):
    """The row of a trial that is done, its network written as TFLite."""
    result = store.result(trial)
    if "tflite_bytes" in result:
        return result
    place = store.place(trial)
    samples = as_float(data.parts(trial, store.data_dir)[2]).x[:8]
    report = export_tflite(
        store.network(trial), place / "model.tflite", samples=samples, runs=0
    )
    sizes = {
        "tflite_bytes": report.size,
        "dense_tflite_bytes": report.dense_size,
    }
    store.add(trial, sizes)
    return store.result(trial)
