"""Scores in a file, which know the data that they are of."""

import dataclasses
import hashlib
import json

import numpy as np

from keras_snn.datasets.npz import read_npz
from keras_snn.files import written

KEYS = ("values", "ids", "fingerprint", "config")


def fingerprint(x, y):
    """What tells data apart: a digest of every byte and of the order.

    Args:
        x: Samples, an array of shape (n, ...).
        y: Labels; integers of any width, (n,) or (n, 1), count as equal.

    Returns:
        A str of 64 hexadecimal digits.
    """
    x, y = np.asarray(x), np.asarray(y)
    if y.dtype.kind in "iu":
        y = y.astype("int64")
    if y.shape == (len(x), 1):
        y = y.reshape(-1)
    digest = hashlib.sha256()
    for array in (x, y):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """Scores of samples, with what is needed to use them on no others.

    Attributes:
        values: Scores, float32 of shape (n,), read-only.
        ids: Int64 of shape (n,), read-only: who each sample is, such as its
            place in the whole data set where a part of it was scored.
        fingerprint: Of the samples and labels: see `fingerprint`.
        config: Dict of what the scores are, for JSON: method, epoch, models.

    Example:

    ```python
    Scores.of(el2n(models, x, y), x, y, score="el2n").save("el2n.npz")
    scores = Scores.load("el2n.npz").check(x, y)
    rows = hardest(scores, 0.5)
    model.fit(x[rows], y[rows])
    ```
    """

    values: np.ndarray
    ids: np.ndarray
    fingerprint: str
    config: dict

    def __post_init__(self):
        values, ids = np.asarray(self.values), np.asarray(self.ids)
        if values.ndim != 1 or values.dtype.kind != "f" or len(values) == 0:
            raise ValueError(
                "Argument `values` must be floats of shape (n,), one score a "
                f"sample. Received: dtype={values.dtype}, shape={values.shape}"
            )
        if ids.shape != values.shape or ids.dtype.kind not in "iu":
            raise ValueError(
                f"Argument `ids` must be {len(values)} integers, one a score. "
                f"Received: dtype={ids.dtype}, shape={ids.shape}"
            )
        if np.isnan(values).any():
            raise ValueError(
                "Argument `values` must not be NaN, which has no place in an "
                f"order. Received: {np.isnan(values).sum()} NaN of "
                f"{len(values)}"
            )
        for name, array in (("values", values.astype("float32")), ("ids", ids)):
            array = np.array(array, "int64" if name == "ids" else None)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        # As it will be read: keys as str, tuples as lists.
        object.__setattr__(self, "config", json.loads(json.dumps(self.config)))

    @classmethod
    def of(cls, values, x, y, *, ids=None, **config):
        """Scores of these samples.

        Args:
            values: Scores, floats of shape (n,).
            x: The samples that were scored.
            y: Their labels.
            ids: Who each sample is. Defaults to 0 to n - 1.
            **config: What the scores are: values that JSON can hold.

        Raises:
            ValueError: If there is not one score for each sample.
        """
        if not len(values) == len(x) == len(y):
            raise ValueError(
                "Argument `values` must have a score for each sample. "
                f"Received: {len(values)} scores, {len(x)} samples and "
                f"{len(y)} labels"
            )
        ids = np.arange(len(values)) if ids is None else ids
        return cls(values, ids, fingerprint(x, y), config)

    def check(self, x, y):
        """These scores, if they are of this data.

        Args:
            x: Samples, in the order in which they were scored.
            y: Their labels.

        Raises:
            ValueError: If anything differs.
        """
        found = fingerprint(x, y)
        if found != self.fingerprint:
            raise ValueError(
                "Scores must be used on the very data that was scored, in its "
                "order, or they choose samples at random. Received: "
                f"{len(x)} samples with fingerprint {found[:12]}..., scores "
                f"of {len(self.values)} with {self.fingerprint[:12]}..."
            )
        return self

    def save(self, path):
        """Writes an `.npz` file without pickles, whole or not at all."""
        with written(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                values=self.values,
                ids=self.ids,
                fingerprint=self.fingerprint,
                config=json.dumps(self.config),
            )

    @classmethod
    def load(cls, path):
        """The scores in a file that `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged or holds something else.
        """
        arrays = read_npz(path, KEYS)
        try:
            return cls(
                arrays["values"],
                arrays["ids"],
                str(arrays["fingerprint"]),
                json.loads(str(arrays["config"])),
            )
        except ValueError as error:
            raise ValueError(
                f"{path} must be a file that `Scores.save` wrote. Reading it: "
                f"{error}"
            ) from error
