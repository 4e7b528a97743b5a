"""One network: built, trained, and what its training cost."""

import keras
import numpy as np

from keras_snn import datasets
from keras_snn.compute.conversion import to_sparse
from keras_snn.conversion import sparsify
from keras_snn.experiments import networks
from keras_snn.experiments.devices import Devices
from keras_snn.experiments.kinds import KINDS
from keras_snn.experiments.methods import METHODS
from keras_snn.flops import training_flops
from keras_snn.masking.mask_state import masked_weights


def build(trial, x, y, checkpoint, trained=None):
    """The network of a trial, pruned, and the compiled model that `fit` trains.

    Both are as the checkpoint has them, if there is one.

    Args:
        trial: The `Trial`.
        x: Training images.
        y: Their classes.
        checkpoint: An `EpochCheckpoint`.
        trained: The weights of the trained dense network, for what prunes it.

    Returns:
        `(model, trainer)`: the sparse network (or the dense one), and what
        its kind of hardness trains, such as the same with an adversary.
    """
    model = networks.build(trial)
    method = METHODS[trial.method]
    if trial.method != "dense":
        model = sparsify(
            model,
            trial.sparsity if method.distribution else 0.0,
            method.distribution or "erk",
            seed=trial.seed,
            wrapper=method.wrapper,
        )
    trainer = _compiled(trial, model, len(x))
    sparse = trial.compute == "sparse"
    # Which variables a sparse layer has depends on its mask: prune it first.
    if sparse or not checkpoint.resume(trainer):
        draw = np.random.default_rng(trial.seed)
        batch = draw.permutation(len(x))[: method.batch(trial)]
        method.prune(trainer, trial, x[batch], y[batch], trained)
    if sparse:
        model = to_sparse(model)
        trainer = _compiled(trial, model, len(x))
        checkpoint.resume(trainer)
    return model, trainer


def _compiled(trial, model, images):
    trainer = KINDS[trial.hard].trainer(trial, model)
    keras.utils.set_random_seed(trial.seed)
    trainer.compile(
        optimizer(trial, -(-images // trial.batch_size)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return trainer


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


def train(trial, trainer, parts, checkpoint, callbacks=(), devices=None):
    """Fits a network to the end, from the checkpoint that it was built from.

    Args:
        trial: The `Trial`.
        trainer: The compiled model, as `build` made it.
        parts: Training, validation and test images, float32.
        checkpoint: The `EpochCheckpoint` that `build` was given.
        callbacks: Further ones; the last that are called.
        devices: The `Devices` that share each batch. Defaults to one.
    """
    (x, y), validation, _ = parts
    method = METHODS[trial.method]
    devices = devices or Devices()
    done = len(checkpoint.rows)
    flip = datasets.SOURCES[trial.dataset].flip
    batches = datasets.augmented(
        x,
        y,
        trial.batch_size,
        crop=4 if trial.augment else 0,
        flip=flip and trial.augment,
        rotation=trial.rotation,
        seed=trial.seed,
        initial_epoch=done,
        endless=True,  # Devices may take batches ahead of training.
    )
    with devices.sharing(trainer, batches) as shared:
        trainer.fit(
            shared,
            shuffle=False,  # The batches are.
            validation_data=validation if len(validation.y) else None,
            validation_batch_size=devices.validation_batch(
                len(validation.y), trial.batch_size
            ),
            epochs=trial.epochs,
            steps_per_epoch=-(-len(x) // trial.batch_size),
            initial_epoch=done,
            callbacks=[
                *method.callbacks(trial, x, y),
                *KINDS[trial.hard].callbacks(trial, x, y, checkpoint.folder),
                checkpoint,
                *callbacks,
            ],
            verbose=0,
        )


def flops_of(trial, model, images, rows):
    """FLOPs of a trial's training, by the masks it had after each epoch."""
    return training_flops(
        model,
        images * trial.epochs,
        [(1 / len(rows), row["densities"]) for row in rows],
        attack_steps=KINDS[trial.hard].attack_steps(trial),
    )


def active_parameters(model):
    """Trainable parameters that are not masked out."""
    total = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    try:
        masked = masked_weights(model).values()
    except ValueError:  # A dense model.
        return total
    return total - sum(
        int(np.prod(each.weight.shape)) - each.active_count() for each in masked
    )
