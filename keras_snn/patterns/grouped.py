"""Patterns that treat every group of a layer alike."""

import dataclasses

import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.patterns.pattern import Pattern


@dataclasses.dataclass(frozen=True)
class Grouped(Pattern):
    """As many weights in every group of a layer.

    Subclasses define `quota`, how many, and the groups: `groups` arranges an
    array as (several, members of a group, several), and `ungroup` undoes it.
    """

    @property
    def per_layer(self):
        return True

    def top_k(self, scores, k, among=None):
        return self._highest(scores, k, among=among)

    def grow_highest(self, scores, mask, k):
        return self._highest(scores, int(np.count_nonzero(mask)) + k, mask)

    def grow_random(self, mask, k, rng):
        scores = rng.random(mask.shape, np.float32)
        return self.grow_highest(scores, mask, k)

    def _highest(self, scores, total, kept=None, among=None):
        scores = masks.check_scores(np.asarray(scores))
        quota = self.quota(scores.shape, total)
        values = np.array(
            self.groups(scores), np.result_type(scores, np.float32)
        )
        if kept is not None:
            values[self.groups(kept)] = np.inf
        if among is not None:
            values[~self.groups(among)] = -np.inf
        chosen = self.ungroup(_highest_of_each(values, quota), scores.shape)
        if (kept is not None and (kept & ~chosen).any()) or (
            among is not None and (chosen & ~among).any()
        ):
            raise ValueError(
                "Every group of a pattern has the same number of active "
                "weights, so none may begin with more than that, or with fewer "
                f"to choose from. Received: {self}, {quota} weights a group"
            )
        return chosen


def _highest_of_each(values, n):
    """The `n` highest along axis 1; of equal ones the lowest index."""
    if n == 0:
        return np.zeros(values.shape, bool)
    place = values.shape[1] - n
    # Sorted, since np.partition takes ten times as long where most are equal.
    threshold = np.sort(values, axis=1)[:, place : place + 1]
    chosen = values >= threshold
    if (np.count_nonzero(chosen, axis=1) == n).all():
        return chosen
    above, ties = values > threshold, values == threshold
    room = n - np.count_nonzero(above, axis=1, keepdims=True)
    return above | (ties & (np.cumsum(ties, axis=1, dtype=np.int32) <= room))
