"""Constant fan-in of the outputs that are left."""

import dataclasses

import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.patterns.constant_fan_in import ConstantFanIn


@dataclasses.dataclass(frozen=True)
class AblatedFanIn(ConstantFanIn):
    """Every output has the same number of active inputs, or none.

    What SRigL's ablation of neurons leaves: those that are left share the
    layer's weights. `RigLUpdate(ablate=...)` says which, anew at each update.

    Args:
        inputs: As for `ConstantFanIn`.
        left: The outputs that are to have inputs, a bool array of shape
            (outputs,), the last axis fastest. Defaults to all.
    """

    left: np.ndarray | None = dataclasses.field(
        default=None, compare=False, repr=False
    )

    def fan_in(self, mask):
        """Inputs of each output, if all of them were left.

        Outputs that are left share the layer's weights up to a rest of less
        than one each, so the next multiple of all outputs is what it had.
        """
        return -(-int(np.count_nonzero(mask)) // self.step(mask.shape))

    def per_output(self, mask):
        """How many are True of each output, of shape (outputs,)."""
        return np.count_nonzero(self.groups(mask), axis=(0, 1))

    def quota(self, shape, total):
        if self.left is None:
            return super().quota(shape, total)
        outputs = self.step(shape)
        return -(-total // outputs) * outputs // np.count_nonzero(self.left)

    def drop_lowest(self, scores, mask, k):
        if self.left is None:
            return super().drop_lowest(scores, mask, k)
        total = int(np.count_nonzero(mask))
        there = mask & self._of_left(mask)
        most = min(total - k, int(np.count_nonzero(there)))
        kept = masks.top_k(scores, most, there)
        # Fan-ins shrink where an output comes back; scores are magnitudes.
        best = super().top_k(np.where(kept, scores, -1.0), total)
        return kept & best

    def grow_highest(self, scores, mask, k):
        grown = super().grow_highest(scores, mask, k)
        return grown if self.left is None else grown & self._of_left(mask)

    def holds(self, mask):
        counts = self.per_output(mask)
        return bool(np.isin(counts, (0, counts.max())).all())

    def _of_left(self, mask):
        members = np.ones_like(self.groups(mask))
        return self.ungroup(members & self.left, mask.shape)
