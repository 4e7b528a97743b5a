"""The methods of the paper and others, as what each does in a trial.

"Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_snn.callbacks.gmp import GMPUpdate
from keras_snn.callbacks.lottery import LotteryTicket
from keras_snn.callbacks.rigl import RigLUpdate
from keras_snn.callbacks.set import SETUpdate
from keras_snn.masking.mask_state import masked_layers
from keras_snn.oneshot.magnitude import prune_magnitude
from keras_snn.oneshot.snip import snip
from keras_snn.oneshot.synflow import synflow
from keras_snn.schedules import DuringTraining


@dataclasses.dataclass(frozen=True)
class Method:
    """How a network gets and keeps its masks.

    Attributes:
        label: Its name in figures and tables.
        distribution: Of the random masks to begin with; None begins with every
            weight active.
        from_dense: Whether it prunes the trained dense network, and so trains
            twice.
        prune: Called once before training, as
            `prune(model, trial, x, y, trained)`: a batch of data, and the
            trained dense weights where `from_dense`.
        callbacks: Called with the trial and its training data as
            `callbacks(trial, x, y)`; gives what changes masks during fit.
    """

    label: str
    distribution: str | None = None
    from_dense: bool = False
    prune: Callable = lambda model, trial, x, y, trained: None
    callbacks: Callable = lambda trial, x, y: []


def _snip(model, trial, x, y, trained):
    snip(model, x, y, trial.sparsity)


def _synflow(model, trial, x, y, trained):
    synflow(model, trial.sparsity, x=np.ones_like(x[:1]))


def _omp(distribution):
    def prune(model, trial, x, y, trained):
        masked_layers(model)[0].layer.set_weights(trained)
        prune_magnitude(model, trial.sparsity, distribution=distribution)

    return prune


def _lth(model, trial, x, y, trained):
    ticket = LotteryTicket()
    ticket.remember(model)
    masked_layers(model)[0].layer.set_weights(trained)
    ticket.rewind(model, trial.sparsity)


def _gmp(trial, x, y):
    schedule = DuringTraining(trial.sparsity, interval=trial.interval)
    return [GMPUpdate(schedule)]


def _set(trial, x, y):
    return [SETUpdate(trial.interval, seed=trial.seed)]


def _rigl(trial, x, y):
    return [RigLUpdate((x, y), trial.interval, unit="epochs", seed=trial.seed)]


METHODS = {
    "dense": Method("Dense"),
    "snip": Method("SNIP", prune=_snip),
    "synflow": Method("SynFlow", prune=_synflow),
    "set": Method("SET", distribution="erk", callbacks=_set),
    "gmp": Method("GMP", callbacks=_gmp),
    "omp": Method("OMP", from_dense=True, prune=_omp(None)),
    "lth": Method("LTH", from_dense=True, prune=_lth),
    "omp_erk": Method("OMP_ERK", from_dense=True, prune=_omp("erk")),
    "random": Method("Random Pruning", distribution="erk"),
    "uniform": Method("Uniform Pruning", distribution="uniform"),
    "rigl": Method("RigL", distribution="erk", callbacks=_rigl),
}
PAPER_METHODS = ("dense", "snip", "set", "gmp", "omp", "lth")
