"""Scores of the training images, once for a data set, and subsets by them.

A kind of hard samples is a row here: which function or callback of
`keras_snn.hardness` scores them, by which networks.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable

import numpy as np

from keras_snn import hardness
from keras_snn.datasets import as_float

SUBSETS = {"hardest": hardness.hardest, "easiest": hardness.easiest}
RECORDERS = {
    "forgetting": hardness.ForgettingRecorder,
    "aum": hardness.AUMRecorder,
}
# How a subset is chosen, and what is recorded: no matter to what scores it.
CHOICE = {"subset": "hardest", "class_balanced": False}
RECORD = {"record": ""}


@dataclasses.dataclass(frozen=True)
class Score:
    """How the training images are scored.

    Attributes:
        label: Its name in titles.
        of: Called as `of(trials, store, x, y)` with the scoring trials of one
            seed; gives scores of shape (n,), larger where harder.
        epochs: Called with the epoch of the scores; gives the epochs after
            which a network is needed, ascending.
        record: What is recorded while the networks are trained: a name in
            `RECORDERS`.
    """

    label: str
    of: Callable
    epochs: Callable = lambda last: [last]
    record: str = ""


def _by_network(score, **options):
    def of(trials, store, x, y):
        network = store.network(trials[-1])
        return score(network, x, y, from_logits=True, **options)

    return of


def _by_depth(trials, store, x, y):
    support = min(5000, len(x))  # Of 50,000 distances to all take hours.
    score = _by_network(hardness.prediction_depth, support=support)
    return score(trials, store, x, y)


def _by_checkpoints(trials, store, x, y):
    networks = [store.network(trial) for trial in trials]
    return hardness.vog(networks, x, y, from_logits=True)


def _by_record(name):
    def of(trials, store, x, y):
        trial = trials[-1]
        store.result(trial)  # A worker's store fetches what it is asked for.
        path = store.place(trial) / f"{name}.npz"
        recorder = RECORDERS[name](x, y, path=path)
        recorder.load()
        if len(recorder.records) != trial.epochs:
            raise ValueError(
                f"{path} must hold records of all {trial.epochs} epochs, or "
                "scores are of a part of training: delete its folder to have "
                f"them made anew. Received: {len(recorder.records)} epochs"
            )
        return recorder.scores

    return of


SCORES = {
    "el2n": Score("EL2N", _by_network(hardness.el2n)),
    "grand": Score("GraNd", _by_network(hardness.grand)),
    "loss": Score("loss", _by_network(hardness.loss)),
    "margin": Score("margin", _by_network(hardness.margin)),
    "prediction_depth": Score("prediction depth", _by_depth),
    # Three checkpoints, as in the paper of VoG.
    "vog": Score(
        "VoG",
        _by_checkpoints,
        epochs=lambda last: sorted({-(-last // 3), -(-2 * last // 3), last}),
    ),
    "forgetting": Score(
        "forgetting", _by_record("forgetting"), record="forgetting"
    ),
    "aum": Score("AUM", _by_record("aum"), record="aum"),
}


def score_of(trial):
    """The name of what scores a trial's images: its kind, or EL2N."""
    return trial.hard if trial.hard in SCORES else "el2n"


def scorers(trial):
    """The trials whose networks score the samples.

    Dense ones on all of the data, stopped early, the same for every method,
    sparsity, data ratio and seed.
    """
    score = SCORES[score_of(trial)]
    options = {
        name: value
        for name, value in trial.options
        if name not in {**CHOICE, **RECORD}
    }
    if score.record:
        options["record"] = score.record
    first = dataclasses.replace(
        trial,
        method="dense",
        hard="none",
        data_ratio=1.0,
        seed=0,
        epochs=trial.el2n_epoch,
        milestones=(),
        options=tuple(options.items()),
    )
    epochs = tuple(score.epochs(trial.el2n_epoch))
    return list(_of_seeds(first, trial.el2n_models, epochs))


@functools.lru_cache
def _of_seeds(trial, count, epochs):
    return [
        dataclasses.replace(trial, seed=seed, epochs=epoch)
        for seed in range(count)
        for epoch in epochs
    ]


def check_choice(trial):
    """Raises a ValueError if the subset is none that is known."""
    if trial.subset not in SUBSETS:
        raise ValueError(
            f"Option `subset` must be one of {sorted(SUBSETS)}. "
            f"Received: subset={trial.subset!r}"
        )
    epochs = SCORES[trial.hard].epochs(trial.el2n_epoch)
    if trial.hard == "vog" and len(epochs) < 2:
        raise ValueError(
            "Argument `el2n_epoch` must be at least 2 for VoG, or nothing "
            f"varies. Received: el2n_epoch={trial.el2n_epoch}"
        )


def chosen(trial, train, store):
    """The share `data_ratio` of the training images, the ends of the scores.

    Returns:
        Indices, ascending.
    """
    labels = train.y if trial.class_balanced else None
    choose = SUBSETS[trial.subset]
    found = choose(scores(trial, train, store), trial.data_ratio, labels=labels)
    return np.sort(found)


def check_record(trial):
    """Raises a ValueError if there is no such recorder."""
    if trial.record not in ("", *RECORDERS):
        raise ValueError(
            f"Option `record` must be one of {sorted(RECORDERS)}, or empty. "
            f"Received: record={trial.record!r}"
        )


def recorders(trial, x, y, folder):
    """The callbacks that record how samples are learnt, in the folder."""
    if not trial.record:
        return []
    path = folder / f"{trial.record}.npz"
    return [RECORDERS[trial.record](x, y, path=path)]


def scores(trial, train, store):
    """Scores of the training images, the mean over the scoring networks.

    They are kept: the networks are asked once.

    Args:
        trial: The `Trial`.
        train: All training images, a `Split` of uint8.
        store: The `Store`.

    Returns:
        Float32 of shape (images,).
    """
    kind, trials = score_of(trial), scorers(trial)
    keys = [scorer.key for scorer in trials]
    name = hashlib.sha256(" ".join(keys).encode()).hexdigest()[:12]
    data = store.fingerprint(trial)[:8]
    path = store.folder / "scores" / f"{kind}-{name}-{data}.npz"
    if path.exists():
        found = hardness.Scores.load(path)
        if found.config.get("trials") != keys:
            raise ValueError(
                f"{path} must hold the scores of its networks, or the wrong "
                "samples are chosen: delete it to have them made anew. "
                f"Received: those of {found.config.get('trials')}"
            )
        return found.check(*train).values
    images = as_float(train)
    seeds = dict.fromkeys(scorer.seed for scorer in trials)
    of_each = [
        SCORES[kind].of([t for t in trials if t.seed == s], store, *images)
        for s in seeds
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    mean = np.mean(of_each, axis=0)
    kept = hardness.Scores.of(mean, *train, score=kind, trials=keys)
    kept.save(path)
    return mean
