"""The methods of the paper and others, as what each does in a trial.

"Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. A method of your own is one line:

METHODS["mine"] = Method("Mine", distribution="erk", callbacks=callbacks)
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_snn.callbacks.gmp import GMPUpdate
from keras_snn.callbacks.lottery import LotteryTicket
from keras_snn.callbacks.rigl import RigLUpdate
from keras_snn.callbacks.set import SETUpdate
from keras_snn.experiments.registry import Row
from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.masked_layer import MaskedLayer
from keras_snn.oneshot.magnitude import prune_magnitude
from keras_snn.oneshot.random import prune_random
from keras_snn.oneshot.snip import snip
from keras_snn.oneshot.synflow import synflow
from keras_snn.schedules import DuringTraining
from keras_snn.schedules.during_training import LEAST_UPDATES


@dataclasses.dataclass(frozen=True)
class Method(Row):
    """How a network gets and keeps its masks, and how it is drawn.

    Attributes:
        label: Its name in figures and tables.
        colour: Of its lines in figures, for matplotlib. Defaults to a grey.
        marker: Of its points in figures, for matplotlib.
        distribution: Of the random masks to begin with; None begins with every
            weight active.
        wrapper: What `sparsify` wraps the network in.
        from_dense: Whether it prunes the trained dense network, and so trains
            twice.
        prune: Called once before training, as
            `prune(model, trial, x, y, trained)`: a batch of data, and the
            trained dense weights where `from_dense`. Training that goes on
            from a checkpoint has its masks from there.
        batch: Called with the trial: how many images that batch has. Defaults
            to as many as a batch of training.
        callbacks: Called with the trial and its training data as
            `callbacks(trial, x, y)`; gives what changes masks during fit.
        check: Called with each trial of the method, as it is made; raises a
            ValueError if its options make no sense.

    Example:

    ```python
    METHODS["mine"] = Method(
        "Mine",
        distribution="erk",
        callbacks=lambda trial, x, y: [MyUpdate(trial.interval)],
    )
    ```
    """

    label: str
    colour: str = "#777777"
    marker: str = "."
    distribution: str | None = None
    wrapper: type = MaskedLayer
    from_dense: bool = False
    prune: Callable = lambda model, trial, x, y, trained: None
    batch: Callable = lambda trial: trial.batch_size
    callbacks: Callable = lambda trial, x, y: []
    check: Callable = lambda trial: None


def _snip(model, trial, x, y, trained):
    snip(
        model,
        x,
        y,
        trial.sparsity,
        ratios_only=trial.snip_ratios_only,
        seed=trial.seed,
    )


def _synflow(model, trial, x, y, trained):
    synflow(model, trial.sparsity, x=np.ones_like(x[:1]))


def _omp(model, trial, x, y, trained):
    masked_layers(model)[0].layer.set_weights(trained)
    prune_magnitude(model, trial.sparsity)


def _omp_erk(model, trial, x, y, trained):
    masked_layers(model)[0].layer.set_weights(trained)
    if trial.omp_erk_random:
        prune_random(model, trial.sparsity, seed=trial.seed)
    else:
        prune_magnitude(model, trial.sparsity, distribution="erk")


def _lth(model, trial, x, y, trained):
    ticket = LotteryTicket()
    ticket.remember(model)
    masked_layers(model)[0].layer.set_weights(trained)
    ticket.rewind(model, trial.sparsity)


def _check_gmp(trial):
    if trial.gmp_begin >= trial.gmp_end:
        raise ValueError(
            "Option `gmp_begin` must be less than `gmp_end`, or GMP ends "
            "before it begins. Received: "
            f"gmp_begin={trial.gmp_begin}, gmp_end={trial.gmp_end}"
        )


def _gmp(trial, x, y):
    pruning = (trial.gmp_end - trial.gmp_begin) * trial.epochs
    few = pruning < LEAST_UPDATES * trial.interval
    schedule = DuringTraining(
        trial.sparsity,
        begin=trial.gmp_begin,
        end=trial.gmp_end,
        interval=None if few else trial.interval,
    )
    return [GMPUpdate(schedule)]


def _set(trial, x, y):
    return [SETUpdate(trial.interval, seed=trial.seed)]


def _rigl(trial, x, y):
    return [RigLUpdate((x, y), trial.interval, unit="epochs", seed=trial.seed)]


# Colours are those of Okabe and Ito, "Color Universal Design", and a few more,
# which people with any colour vision tell apart; markers do, too. Options are
# the official code's way, where it is not the paper's.
UPDATED = ("interval",)
SPARSE = ("compute",)  # All but GMP, whose masks are dense at first.

METHODS = {
    "dense": Method("Dense", "#000000", "o", fields=()),
    "snip": Method(
        "SNIP",
        "#0072B2",
        "o",
        prune=_snip,
        batch=lambda trial: trial.snip_images,
        fields=SPARSE,
        options={"snip_images": 128, "snip_ratios_only": False},
    ),
    "synflow": Method("SynFlow", "#332288", "d", prune=_synflow, fields=SPARSE),
    "set": Method(
        "SET",
        "#D55E00",
        "s",
        distribution="erk",
        callbacks=_set,
        fields=UPDATED + SPARSE,
    ),
    "gmp": Method(
        "GMP",
        "#009E73",
        "^",
        callbacks=_gmp,
        check=_check_gmp,
        fields=UPDATED,
        options={"gmp_begin": 0.1, "gmp_end": 0.8},
    ),
    "omp": Method(
        "OMP", "#CC79A7", "D", from_dense=True, prune=_omp, fields=SPARSE
    ),
    "lth": Method(
        "LTH", "#E69F00", "v", from_dense=True, prune=_lth, fields=SPARSE
    ),
    "omp_erk": Method(
        "OMP_ERK",
        "#56B4E9",
        "P",
        from_dense=True,
        prune=_omp_erk,
        fields=SPARSE,
        options={"omp_erk_random": False},
    ),
    "random": Method(
        "Random Pruning", "#7A7A00", "X", distribution="erk", fields=SPARSE
    ),
    "uniform": Method(
        "Uniform Pruning", "#999999", "*", distribution="uniform", fields=SPARSE
    ),
    "rigl": Method(
        "RigL",
        "#8C564B",
        "h",
        distribution="erk",
        callbacks=_rigl,
        fields=UPDATED + SPARSE,
    ),
}
PAPER_METHODS = ("dense", "snip", "set", "gmp", "omp", "lth")
