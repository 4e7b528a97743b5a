"""Wrong labels: drawn by rule, or given by people.

Symmetric: a label becomes any other, each as likely. Asymmetric: a label
becomes that of a class it is taken for. Patrini, Rozza, Menon, Nock and Qu,
2017, "Making Deep Neural Networks Robust to Label Noise: a Loss Correction
Approach", https://arxiv.org/abs/1609.03683, whose class maps these are. Labels
by people: Wei, Zhu, Cheng, Liu, Niu and Liu, 2022, "Learning with Noisy Labels
Revisited: A Study Using Real-World Human Annotations",
https://arxiv.org/abs/2110.12088, CIFAR-10N and CIFAR-100N.

Differs from the paper: which labels change is drawn by count, not one by one,
so that their share is the rate to within one label.
"""

import csv
from pathlib import Path

import numpy as np

from keras_snn.checks import check_integer
from keras_snn.extras import require

# The superclass of each class of CIFAR-100.
_SUPERCLASSES = (
    "4 1 14 8 0 6 7 7 18 3 3 14 9 18 7 11 3 9 7 11 6 11 5 10 7 "
    "6 13 15 3 15 0 11 1 10 12 14 16 9 11 5 5 19 8 8 15 13 14 17 18 10 "
    "16 4 17 4 2 0 17 4 18 17 10 3 2 12 12 16 12 1 9 19 2 10 0 1 16 "
    "12 9 13 15 13 16 19 2 4 6 19 5 5 8 19 18 1 2 15 6 0 17 8 14 13"
)


def _next_of_superclass():
    of = np.array(_SUPERCLASSES.split(), int)
    members = [np.flatnonzero(of == number) for number in range(20)]
    return {
        int(label): int(following)
        for each in members
        for label, following in zip(each, np.roll(each, -1), strict=True)
    }


# Handwritten digits: 2 to 7, 3 to 8, 5 and 6 to each other, 7 to 1. CIFAR-10:
# bird to airplane, cat and dog to each other, deer to horse, truck to car.
# CIFAR-100: the next class of the superclass.
CLASS_MAPS = {
    "digits": {2: 7, 3: 8, 5: 6, 6: 5, 7: 1},
    "cifar10": {2: 0, 3: 5, 4: 7, 5: 3, 9: 1},
    "cifar100": _next_of_superclass(),
}


def symmetric_noise(y, rate, classes, *, seed=0):
    """Labels of which a share is any other class.

    Args:
        y: Integers of shape (n,).
        rate: The share of wrong labels, in [0, 1].
        classes: Number of classes, >= 2.
        seed: Int >= 0. A smaller rate of one seed changes a part of what a
            larger one does.

    Returns:
        Labels as `y`, `round(rate * n)` of them changed.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    ```python
    noisy = symmetric_noise(y, 0.2, classes=10)
    ```
    """
    y = _checked(y, rate, seed)
    check_integer("classes", classes, 2, "or no label can be wrong")
    random = np.random.default_rng(seed)
    rows = random.permutation(len(y))
    shifts = random.integers(1, classes, len(y))
    changed = rows[: round(rate * len(y))]
    noisy = y.copy()
    noisy[changed] = (y[changed] + shifts[changed]) % classes
    return noisy


def asymmetric_noise(y, rate, class_map, *, seed=0):
    """Labels of which a share of some classes is the class they look like.

    Args:
        y: Integers of shape (n,).
        rate: The share of each mapped class that is changed, in [0, 1].
        class_map: Dict of class to the class that it is taken for; one in
            `CLASS_MAPS`.
        seed: As for `symmetric_noise`.

    Returns:
        Labels as `y`. Of all labels, a smaller share than `rate` is wrong:
        classes that are not in the map keep theirs.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    ```python
    noisy = asymmetric_noise(y, 0.4, CLASS_MAPS["cifar10"])
    ```
    """
    y = _checked(y, rate, seed)
    order = np.random.default_rng(seed).permutation(len(y))
    noisy = y.copy()
    for label, taken_for in class_map.items():
        mine = order[y[order] == label]
        noisy[mine[: round(rate * len(mine))]] = taken_for
    return noisy


def read_labels(path, column=""):
    """Labels in a file.

    Args:
        path: `.npy`, an array of integers; `.csv` with a row of headings; or
            `.pt`, a dict of arrays that PyTorch saved, as CIFAR-10N comes.
        column: Which column, or array of the dict, such as `"worse_label"`.

    Returns:
        Int64 of shape (n,).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not that. Nothing in it is run.

    Example:

    ```python
    noisy = read_labels("CIFAR-10_human.pt", "worse_label")
    ```
    """
    path = Path(path)
    readers = {".npy": _read_npy, ".csv": _read_csv, ".pt": _read_pt}
    if path.suffix not in readers:
        raise ValueError(
            f"A file of labels must be one of {sorted(readers)}. Received: "
            f"{path}"
        )
    try:
        labels = np.asarray(readers[path.suffix](path, column))
        if labels.dtype.kind not in "iu" or labels.ndim != 1:
            raise ValueError(f"dtype={labels.dtype}, shape={labels.shape}")
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path} must hold one integer for each sample, in {column!r} if "
            f"there are several. Reading it: {error!r}"
        ) from error
    return labels.astype("int64")


def _read_npy(path, column):
    return np.load(path, allow_pickle=False)


def _read_csv(path, column):
    with path.open(newline="") as file:
        return np.array([int(row[column]) for row in csv.DictReader(file)])


def _read_pt(path, column):
    torch = require("torch", "A file of labels in PyTorch's format")
    # Where NumPy's arrays are made; by an older name in older files.
    make = np.array(0).__reduce__()[0]
    old = make.__module__.replace("numpy._core", "numpy.core")
    allowed = [
        make,
        (make, f"{old}.{make.__name__}"),
        np.ndarray,
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("int32", "int64", "uint8")),
    ]
    with torch.serialization.safe_globals(allowed):
        return torch.load(path, weights_only=True)[column]


def _checked(y, rate, seed):
    check_integer("seed", seed, 0, "which random draws derive from")
    y = np.asarray(y)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ValueError(
            "Argument `y` must be integers of shape (n,), one class a sample. "
            f"Received: dtype={y.dtype}, shape={y.shape}"
        )
    if not 0 <= rate <= 1:
        raise ValueError(
            "Argument `rate` must be in [0, 1], a share of the labels. "
            f"Received: rate={rate!r}"
        )
    return y
