"""What all patterns have in common: any mask at all is the first."""

import dataclasses

import numpy as np

from keras_snn.arithmetic import masks


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Any mask at all: what the other patterns narrow down."""

    @property
    def unit(self):
        """How many weights live or die as one."""
        return 1

    def along(self, inputs, rank):
        """The pattern for kernels whose axes `inputs` run over inputs."""
        return self

    def check_shape(self, shape, name="weight"):
        """Raises a `ValueError` if no mask of this shape has the pattern."""

    def step(self, shape):
        """The least number of weights by which a mask's count may differ."""
        return 1

    def sparsity(self, requested, default=None):
        """The sparsity of a model, checked, where one is requested or none."""
        return masks.check_sparsity(default if requested is None else requested)

    def distribution(self, requested):
        """How sparsity is shared out, where `requested` is allowed."""
        return requested

    @property
    def per_layer(self):
        """Whether one threshold for the whole model is ruled out."""
        return False

    def units(self, array):
        """The mean of each unit of weights."""
        return array

    def weights(self, units, shape):
        """A mask of units as one of weights of that shape."""
        return units

    def top_k(self, scores, k, among=None):
        """The mask of the `k` weights of the highest scores; see `masks`."""
        return masks.top_k(scores, k, among)

    def drop_lowest(self, scores, mask, k):
        """`mask` without `k` active weights, those of the lowest scores.

        What is dropped need not leave the pattern whole: growth mends it.
        """
        return masks.drop_lowest(scores, mask, k)

    def grow_highest(self, scores, mask, k):
        """`mask` with `k` weights more, those of the highest scores."""
        return masks.grow_highest(scores, mask, k)

    def grow_random(self, mask, k, rng):
        """`mask` with `k` weights more, drawn by `rng`."""
        return masks.grow_random(mask, k, rng)

    def random_mask(self, shape, k, rng):
        """A mask of `shape` with exactly `k` True, drawn by `rng`."""
        return self.grow_random(np.zeros(shape, bool), k, rng)

    def holds(self, mask):
        """Whether a mask has the pattern."""
        return True

    def check(self, mask, name="mask"):
        """Raises a `ValueError` if a mask does not have the pattern."""
        if not self.holds(mask):
            raise ValueError(
                "Masks must have the pattern that an update is to keep: draw "
                "them with `sparsify(model, pattern=...)`, or choose them with "
                "`prune_magnitude(model, pattern=...)`. "
                f"Received: a mask of {name!r} that is not {self}"
            )
