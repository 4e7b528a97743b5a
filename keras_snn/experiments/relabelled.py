"""Training labels with noise: a kind of hard samples."""

from keras_snn.datasets import SOURCES
from keras_snn.hardness import CLASS_MAPS
from keras_snn.hardness import asymmetric_noise
from keras_snn.hardness import read_labels
from keras_snn.hardness import symmetric_noise

NOISE = {
    "noise": "symmetric",
    "noise_rate": 0.2,
    "noise_file": "",
    "noise_column": "",
}
KNOWN = ("symmetric", "asymmetric", "file")


def check_noise(trial):
    """Raises a ValueError if a trial's options name no labels."""
    if trial.noise not in KNOWN:
        raise ValueError(
            f"Option `noise` must be one of {list(KNOWN)}. "
            f"Received: noise={trial.noise!r}"
        )
    if not 0 <= trial.noise_rate <= 1:
        raise ValueError(
            "Option `noise_rate` must be in [0, 1], a share of the labels. "
            f"Received: noise_rate={trial.noise_rate}"
        )
    if trial.noise == "asymmetric" and trial.dataset not in CLASS_MAPS:
        raise ValueError(
            "Option `noise='asymmetric'` needs to know what classes are taken "
            f"for, which it does of {sorted(CLASS_MAPS)}. "
            f"Received: dataset={trial.dataset!r}"
        )
    if (trial.noise == "file") != bool(trial.noise_file):
        raise ValueError(
            "Option `noise_file` must be given with `noise='file'`, and with "
            f"it alone. Received: noise={trial.noise!r}, "
            f"noise_file={trial.noise_file!r}"
        )


def relabelled(trial, labels):
    """The labels of all training images, some of them wrong.

    The draw is one for every run, as that of a subset is. Labels from a file
    are in the order of the data set; of a trial that holds images out, those
    of the held-out ones may follow, and are left.
    """
    classes = SOURCES[trial.dataset].classes
    if trial.noise == "symmetric":
        return symmetric_noise(labels, trial.noise_rate, classes)
    if trial.noise == "asymmetric":
        return asymmetric_noise(
            labels, trial.noise_rate, CLASS_MAPS[trial.dataset]
        )
    found = read_labels(trial.noise_file, trial.noise_column)
    fits = len(found) == len(labels)
    fits |= trial.hold_out and len(found) > len(labels)
    if not fits or found.min() < 0 or found.max() >= classes:
        raise ValueError(
            f"{trial.noise_file} must hold a label in [0, {classes}) for each "
            f"of the {len(labels)} training images. Received: {len(found)}, "
            f"from {found.min()} to {found.max()}"
        )
    return found[: len(labels)].astype(labels.dtype)
