"""Running trials: one, or a grid of them in turn."""

import dataclasses
import os
import time
from pathlib import Path

import keras
import numpy as np

from keras_snn import datasets
from keras_snn import models
from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.attacks import adversarial_accuracy
from keras_snn.conversion import sparsify
from keras_snn.conversion import strip
from keras_snn.experiments.checkpoint import EpochCheckpoint
from keras_snn.experiments.data import trial_data
from keras_snn.experiments.methods import METHODS
from keras_snn.experiments.progress import Progress
from keras_snn.export import export_tflite
from keras_snn.files import read_json
from keras_snn.files import write_csv
from keras_snn.files import write_json
from keras_snn.flops import inference_flops
from keras_snn.flops import layer_densities
from keras_snn.flops import training_flops
from keras_snn.masking.mask_state import get_masks
from keras_snn.masking.mask_state import sparsity
from keras_snn.models.parts import STATISTICS


def run_grid(trials, out, *, data_dir=None, export=False, say=print):
    """Runs trials in turn; what is done already is not done again.

    Args:
        trials: List of `Trial`.
        out: Folder for the results; those of each trial go to
            `trials/<key>/`.
        data_dir: Where the data lies, as for `keras_snn.datasets.load`.
        export: Whether to write each network as TFLite, too.
        say: Called with each line that tells how far it is.

    Returns:
        A list of results, dicts, in the order of the trials.
    """
    results, began = [], time.perf_counter()
    for number, trial in enumerate(trials, 1):
        say(f"[{number}/{len(trials)}] {describe(trial)}")
        results.append(
            run_trial(trial, out, data_dir=data_dir, export=export, say=say)
        )
        seconds = time.perf_counter() - began
        left = seconds / number * (len(trials) - number)
        say(
            f"    {outcome(results[-1])}; {seconds / 60:.1f} min so far, "
            f"about {left / 60:.1f} to go"
        )
    return results


def describe(trial):
    """A trial in a few words."""
    method = METHODS[trial.method].label
    at = f" at sparsity {trial.sparsity:g}" if trial.sparsity else ""
    return f"{method}{at}, data ratio {trial.data_ratio:g}, seed {trial.seed}"


def outcome(result):
    """A result in a few words."""
    return ", ".join(
        f"{name.replace('_', ' ')} {result[name]:.3f}"
        for name in ("clean_accuracy", "adversarial_accuracy")
        if name in result
    )


def run_trial(trial, out, *, data_dir=None, export=False, say=print):
    """Trains and evaluates one network, or returns what it gave before.

    A run that was killed goes on from its last whole epoch. The folder of a
    trial appears when it is complete: `result.json`, `trial.json`,
    `history.csv`, `model.keras`, and `model.tflite`.

    Args:
        trial: The `Trial`.
        out: Folder for the results.
        data_dir: Where the data lies, as for `keras_snn.datasets.load`.
        export: Whether to write the network as TFLite, too.
        say: Called with each line that tells how far it is.

    Returns:
        The result, a dict: `sparsity` achieved, `clean_accuracy` and
        `adversarial_accuracy` on the test images, in [0, 1],
        `active_parameters`, `layer_densities`, `training_flops` (of methods
        that prune a trained network, with its training) and `inference_flops`
        of one image, `seconds` of training, sizes of files in bytes.

    Raises:
        ValueError: If the trial cannot be run on the data.
    """
    folder = Path(out) / "trials" / trial.key
    if folder.exists():
        return read_json(folder / "result.json")
    method = METHODS[trial.method]
    trained, flops = None, 0
    if method.from_dense:
        trained = network(trial.dense, out, data_dir, say).get_weights()
        flops = run_trial(trial.dense, out)["training_flops"]
    data = trial_data(
        trial, out, data_dir, lambda t: network(t, out, data_dir, say)
    )
    unfinished = folder.with_name(folder.name + ".unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    keras.utils.clear_session()
    model, trainer = build(trial, len(data[0].x))
    checkpoint = EpochCheckpoint(unfinished)
    train(trial, trainer, data, trained, checkpoint, say)
    result = {
        "trial": trial.key,
        "method": trial.method,
        "hard": trial.hard,
        "severity": trial.severity,
        "requested_sparsity": trial.sparsity,
        "sparsity": 0.0 if trial.method == "dense" else sparsity(model),
        "data_ratio": trial.data_ratio,
        "seed": trial.seed,
        **evaluate(trial, trainer, data[2]),
        "active_parameters": active_parameters(model),
        "layer_densities": layer_densities(model),
        "training_flops": flops
        + flops_so_far(trial, model, len(data[0].x), checkpoint.rows),
        "inference_flops": inference_flops(model),
        "seconds": sum(row["seconds"] for row in checkpoint.rows),
    }
    plain = model if trial.method == "dense" else strip(model)
    plain.save(unfinished / "model.keras")
    if export:
        report = export_tflite(
            plain,
            unfinished / "model.tflite",
            samples=data[2].x[:8],
        )
        result["tflite_bytes"] = report.size
        result["dense_tflite_bytes"] = report.dense_size
    rows = [
        {name: v for name, v in row.items() if name != "densities"}
        for row in checkpoint.rows
    ]
    write_csv(unfinished / "history.csv", rows)
    write_json(unfinished / "trial.json", dataclasses.asdict(trial))
    write_json(unfinished / "result.json", result)
    checkpoint.clear()
    os.replace(unfinished, folder)
    return result


def network(trial, out, data_dir=None, say=print):
    """The trained network of a trial that others build on.

    Args:
        trial: The `Trial`; it is run if it was not yet.
        out: Folder for the results.
        data_dir: Where the data lies.
        say: Called with each line that tells how far it is.

    Returns:
        A Keras model, not compiled.
    """
    path = Path(out) / "trials" / trial.key / "model.keras"
    if not path.exists():
        say(f"    first the dense network to begin with, {trial.key}")
    run_trial(trial, out, data_dir=data_dir, say=say)
    return keras.saving.load_model(path)


def build(trial, images):
    """The network of a trial, and the compiled model that `fit` trains.

    Args:
        trial: The `Trial`.
        images: Number of training images.

    Returns:
        `(model, trainer)`: the sparse network (or the dense one), and the
        same with the adversary around it where the trial has one.
    """
    source = datasets.SOURCES[trial.dataset]
    model = getattr(models, trial.model)(
        source.image_shape,
        source.classes,
        width=trial.width,
        normalization=(trial.dataset if trial.dataset in STATISTICS else None),
        seed=trial.seed,
    )
    method = METHODS[trial.method]
    if trial.method != "dense":
        model = sparsify(
            model,
            trial.sparsity if method.distribution else 0.0,
            method.distribution or "erk",
            seed=trial.seed,
        )
    trainer = model
    if trial.hard == "adversarial":
        trainer = AdversarialModel(
            model, attack(trial, trial.attack_steps), name="adversarial"
        )
    keras.utils.set_random_seed(trial.seed)
    trainer.compile(
        optimizer(trial, -(-images // trial.batch_size)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model, trainer


def attack(trial, steps):
    """PGD at the trial's radius, in steps of a quarter of it."""
    eps = trial.attack_eps
    return PGD(eps, eps / 4, steps, seed=trial.seed)


def optimizer(trial, steps_per_epoch):
    """SGD as in the paper.

    PyTorch's SGD, which the paper uses, adds weight decay to the gradient,
    where a momentum of 0.9 multiplies it by 10 over time; that of Keras
    decays weights by themselves. So Keras is given 10 times as much.
    """
    momentum = 0.9
    steps = trial.epochs * steps_per_epoch
    rate = trial.learning_rate
    if trial.milestones:
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            [round(share * steps) for share in trial.milestones],
            [rate / 10**i for i in range(len(trial.milestones) + 1)],
        )
    return keras.optimizers.SGD(
        rate,
        momentum=momentum,
        nesterov=trial.nesterov,
        weight_decay=trial.weight_decay / (1 - momentum),
    )


def train(trial, trainer, data, trained, checkpoint, say):
    """Fits a network to the end, from the checkpoint if there is one."""
    (x, y), validation, _ = data
    method = METHODS[trial.method]
    done = checkpoint.resume(trainer)
    if done == 0:
        draw = np.random.default_rng(trial.seed)
        batch = draw.permutation(len(x))[: trial.batch_size]
        method.prune(trainer, trial, x[batch], y[batch], trained)
    flip = datasets.SOURCES[trial.dataset].flip
    batches = datasets.augmented(
        x,
        y,
        trial.batch_size,
        crop=4 if trial.augment else 0,
        flip=flip and trial.augment,
        seed=trial.seed,
        initial_epoch=done,
    )
    trainer.fit(
        batches,
        shuffle=False,  # The batches are.
        validation_data=validation,
        epochs=trial.epochs,
        initial_epoch=done,
        callbacks=[*method.callbacks(trial, x, y), checkpoint, Progress(say)],
        verbose=0,
    )


def evaluate(trial, trainer, test):
    """Accuracies on the test images: clean, and attacked where trained so."""
    logits = trainer.predict(test.x, batch_size=256, verbose=0)
    accuracies = {"clean_accuracy": float((logits.argmax(1) == test.y).mean())}
    if trial.hard == "adversarial":
        accuracies["adversarial_accuracy"] = adversarial_accuracy(
            trainer, attack(trial, trial.test_attack_steps), test.x, test.y
        )
    return accuracies


def flops_so_far(trial, model, images, rows):
    """FLOPs of a trial's training, by the masks it had after each epoch."""
    return training_flops(
        model,
        images * trial.epochs,
        [(1 / len(rows), row["densities"]) for row in rows],
        attack_steps=trial.attack_steps if trial.hard == "adversarial" else 0,
    )


def active_parameters(model):
    """Trainable parameters that are not masked out."""
    total = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    try:
        masks = get_masks(model).values()
    except ValueError:  # A dense model.
        return total
    return total - sum(int(np.count_nonzero(~mask)) for mask in masks)
