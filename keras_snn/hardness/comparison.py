"""How far kinds of hardness agree."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_snn.hardness.scores import Scores
from keras_snn.hardness.subsets import hardest


@dataclasses.dataclass(frozen=True, eq=False)
class Agreement:
    """How far scores of the same samples agree, two by two.

    Attributes:
        names: Of the scores, a tuple, in the order of rows and columns.
        fraction: Share of the samples in the subsets that are compared.
        rank_correlation: Spearman's, of shape (names, names), in [-1, 1].
        overlap: The share of the hardest that two have in common, of shape
            (names, names), in [0, 1]; about `fraction` by chance.
    """

    names: tuple
    fraction: float
    rank_correlation: np.ndarray
    overlap: np.ndarray


def agreement(scores_by_name, fraction=0.5):
    """Compares scores by their order, and by the hardest samples they choose.

    Args:
        scores_by_name: Dict of name to scores of the same samples: floats of
            shape (n,), or `Scores`. Of `EL2NRecorder`, which has scores of
            several epochs, those of one: `recorder.scores[20]`.
        fraction: Share of the samples that is chosen, in (0, 1].

    Returns:
        An `Agreement`. Equal scores have the mean of their ranks; scores that
        are all equal have no order, and NaN for a correlation.

    Raises:
        ValueError: If they are fewer than two, not of the same samples, or a
            dict of epochs.

    Example:

    >>> found = agreement({"a": [1.0, 2.0, 3.0], "b": [2.0, 1.0, 3.0]}, 1 / 3)
    >>> found.rank_correlation[0, 1], found.overlap[0, 1]
    (0.5, 1.0)
    """
    names = tuple(scores_by_name)
    for name, scores in scores_by_name.items():
        if isinstance(scores, Mapping):
            raise ValueError(
                "Argument `scores_by_name` must have one array of scores a "
                "name, or it is not known which to compare: of a dict of "
                f"epochs, choose one. Received: {name!r} with a dict of "
                f"{list(scores)}"
            )
    given = list(scores_by_name.values())
    prints = {s.fingerprint for s in given if isinstance(s, Scores)}
    values = [
        np.asarray(s.values if isinstance(s, Scores) else s, "float64")
        for s in given
    ]
    sizes = {name: v.shape for name, v in zip(names, values, strict=True)}
    if len(names) < 2 or len(set(sizes.values())) > 1 or len(prints) > 1:
        raise ValueError(
            "Argument `scores_by_name` must be two scores at least, of the "
            f"same samples. Received: shapes {sizes}, of {len(prints)} sets "
            "of samples that are known"
        )
    chosen = np.zeros((len(names), len(values[0])))
    for mine, scores in zip(chosen, values, strict=True):
        mine[hardest(scores, fraction)] = 1
    return Agreement(
        names,
        fraction,
        _correlation(np.stack([_ranks(scores) for scores in values])),
        chosen @ chosen.T / chosen[0].sum(),
    )


def _ranks(scores):
    """Ranks from 1, the mean of them where scores are equal."""
    _, places, counts = np.unique(
        scores, return_inverse=True, return_counts=True
    )
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]


def _correlation(ranks):
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    with np.errstate(invalid="ignore"):
        return centred @ centred.T / np.outer(lengths, lengths)
