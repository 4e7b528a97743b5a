"""EL2N of the training images, once for a data set.

"Deep Learning on a Data Diet", https://arxiv.org/abs/2107.07075.
"""

import dataclasses
import functools
import hashlib

import numpy as np

from keras_snn.datasets import as_float
from keras_snn.hardness import Scores
from keras_snn.hardness import el2n


def scorers(trial):
    """The trials whose networks score the samples.

    Dense ones on all of the data, stopped early, the same for every method,
    sparsity, data ratio and seed.
    """
    first = dataclasses.replace(
        trial,
        method="dense",
        hard="none",
        data_ratio=1.0,
        seed=0,
        epochs=trial.el2n_epoch,
        milestones=(),
    )
    return list(_of_seeds(first, trial.el2n_models))


@functools.lru_cache
def _of_seeds(trial, count):
    return [dataclasses.replace(trial, seed=seed) for seed in range(count)]


def scores(trial, train, store):
    """EL2N of the training images, the mean over the scoring networks.

    They are kept: the networks are asked once.

    Args:
        trial: The `Trial`.
        train: All training images, a `Split` of uint8.
        store: The `Store`.

    Returns:
        Float32 of shape (images,).
    """
    keys = [scorer.key for scorer in scorers(trial)]
    name = hashlib.sha256(" ".join(keys).encode()).hexdigest()[:12]
    data = store.fingerprint(trial)[:8]
    path = store.folder / "scores" / f"el2n-{name}-{data}.npz"
    if path.exists():
        found = Scores.load(path)
        if found.config.get("trials") != keys:
            raise ValueError(
                f"{path} must hold the scores of its networks, or the wrong "
                "samples are chosen: delete it to have them made anew. "
                f"Received: those of {found.config.get('trials')}"
            )
        return found.check(*train).values
    images = as_float(train)
    of_each = [
        el2n(store.network(scorer), *images, from_logits=True)
        for scorer in scorers(trial)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    mean = np.mean(of_each, axis=0)
    Scores.of(mean, *train, score="el2n", trials=keys).save(path)
    return mean
