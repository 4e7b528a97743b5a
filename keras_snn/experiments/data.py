"""The data of a trial: ordinary, corrupted, or the hardest by EL2N."""

from pathlib import Path

import numpy as np

from keras_snn import datasets
from keras_snn.corruptions import corrupt
from keras_snn.hardness import el2n
from keras_snn.hardness import hardest

# The subset and the corruptions are one draw for every run: the official code
# of the paper draws its subset so.
DATA_SEED = 0


def trial_data(trial, out, data_dir, network):
    """Training, validation and test images of a trial.

    Args:
        trial: The `Trial`.
        out: Folder for the results; corrupted images are kept in it.
        data_dir: Where the data lies, as for `keras_snn.datasets.load`.
        network: A function of a trial that gives its trained network, for the
            networks that score the samples.

    Returns:
        `(train, validation, test)`, pairs of float32 images in [0, 1] and
        integer labels.
    """
    drawn = 1.0 if trial.hard == "el2n" else trial.data_ratio
    parts = datasets.load(
        trial.dataset, data_dir=data_dir, data_ratio=drawn, seed=DATA_SEED
    )
    if trial.hard == "el2n":
        return hardest_part(trial, parts[0], network), *parts[1:]
    if trial.hard == "corruption":
        return tuple(
            corrupted(part, trial.severity, seed, Path(out) / "corrupted")
            for seed, part in enumerate(parts)
        )
    return parts


def hardest_part(trial, train, network):
    """The share `data_ratio` of the training images of the highest EL2N."""
    chosen = hardest(scores(trial, train, network), trial.data_ratio)
    chosen = np.sort(chosen)  # In their order, as a random subset is.
    return datasets.Split(train.x[chosen], train.y[chosen])


def scores(trial, train, network):
    """EL2N of the training images, the mean over the scoring networks."""
    of_each = [
        el2n(network(scorer), *train, from_logits=True)
        for scorer in trial.scoring
    ]
    return np.mean(of_each, axis=0)


def corrupted(part, severity, seed, cache):
    """Each image with one corruption, drawn by seed."""
    images = np.rint(part.x * 255).astype("uint8")
    images = corrupt(images, "mixed", severity, seed=seed, cache_dir=cache)
    return datasets.Split(images.astype("float32") / 255, part.y)
