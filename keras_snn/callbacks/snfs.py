"""SNFS: sparse networks from scratch, by sparse momentum.

"Sparse Networks from Scratch: Faster Training without Losing Performance",
https://arxiv.org/abs/1907.04840. At each update, in every layer, the active
weights of the smallest magnitude are dropped. What was dropped in all is shared
out over the layers in proportion to the mean momentum magnitude of their active
weights, and grows where the momentum of inactive weights is largest.

Differs from the paper: the momentum, the exponentially smoothed gradient of
all weights, is that of a few batches drawn from `data` at the update, and not
of all steps since the beginning, which would keep a second copy of the weights
and take dense gradients all along.
"""

import numpy as np

from keras_snn import patterns
from keras_snn.arithmetic import distributions
from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.by_gradient import ByGradient
from keras_snn.checks import check_integer
from keras_snn.gradients import dense_gradients


class SNFSUpdate(ByGradient):
    """Drops the smallest weights, grows by momentum, in whichever layer.

    Args:
        data: Training data to take gradients on, as for `RigLUpdate`.
        interval: Epochs between updates, an int >= 1. Defaults to 1.
        drop_fraction: Share of a layer's active weights that the first update
            drops, in (0, 1). Defaults to 0.5.
        momentum: What the smoothed gradient keeps of itself a batch, in
            [0, 1). Defaults to 0.9.
        batches: How many batches it is smoothed over, an int >= 1. Defaults
            to 10.
        **options: `decay`, `unit`, `end`, `batch_size`, `loss` and `seed`, as
            for `RigLUpdate`; of these, `unit` is epochs and `end` is 1 by
            default.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs.
        TypeError: If `data` are of another kind.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.9)
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=20, callbacks=[SNFSUpdate((x, y))])
    ```
    """

    def __init__(
        self,
        data,
        interval=1,
        *,
        drop_fraction=0.5,
        momentum=0.9,
        batches=10,
        **options,
    ):
        super().__init__(data, interval, drop_fraction=drop_fraction, **options)
        if not 0 <= momentum < 1:
            raise ValueError(
                "Argument `momentum` must be in [0, 1), or the gradient is "
                f"never heard. Received: {momentum=}"
            )
        check_integer("batches", batches, 1, "or there is no gradient")
        if self.pattern != patterns.ANY:
            raise ValueError(
                "SNFS moves weights from layer to layer, so it keeps no "
                "pattern: `RigLUpdate` does. "
                f"Received: pattern={self.pattern}"
            )
        self.momentum = momentum
        self.number = batches

    def moves(self, masked, mask):
        return masked.weight.trainable

    def gradients(self, model, weights, step):
        """The gradients, smoothed over the batches of this step."""
        smoothed = dict.fromkeys(weights, 0.0)
        for x, y in self.batches.at(step, self.number):
            now = dense_gradients(model, weights, x, y, self.loss)
            for path, gradient in now.items():
                kept = self.momentum * smoothed[path]
                smoothed[path] = kept + (1 - self.momentum) * gradient
        return smoothed

    def shares(self, updates, dropped):
        return distributions.shared_out(
            sum(super().shares(updates, dropped).values()),
            {p: np.abs(u.gradient[u.mask]).mean() for p, u in updates.items()},
            {p: int(np.count_nonzero(~mask)) for p, mask in dropped.items()},
        )

    def grow(self, update, mask, count):
        return masks.grow_highest(np.abs(update.gradient), mask, count)

    def get_config(self):
        """The arguments but for the data, which no config can hold."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "batches": self.number,
        }
