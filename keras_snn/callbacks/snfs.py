"""SNFS: sparse networks from scratch, by sparse momentum.

"Sparse Networks from Scratch: Faster Training without Losing Performance",
https://arxiv.org/abs/1907.04840. At each update, in every layer, the active
weights of the smallest magnitude are dropped. What was dropped in all is shared
out over the layers in proportion to the mean momentum magnitude of their active
weights, and grows where the momentum of inactive weights is largest.

Differs from the paper: the momentum, the exponentially smoothed gradient of
all weights, is that of a few steps of training, from the one at which an update
is due, and not of all since the beginning, of which each would cost a tap. As
many weights are grown as were dropped, where the paper's code grows a few more
or fewer, and makes up for it later.
"""

import numpy as np

from keras_snn.arithmetic import distributions
from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.by_gradient import ByGradient

REDISTRIBUTIONS = {
    "momentum": lambda u: np.abs(u.gradient[u.mask]).mean(),
    "magnitude": lambda u: np.abs(u.weight[u.mask]).mean(),
    "nonzeros": lambda u: np.count_nonzero(u.weight),
    "none": lambda u: u.mask.size,
}
GROWTHS = ("momentum", "random")


class SNFSUpdate(ByGradient):
    """Drops the smallest weights, grows by momentum, in whichever layer.

    Args:
        data: None (default) for the gradient of training, or data to take it
            on, as for `RigLUpdate`.
        interval: Epochs between updates, an int >= 1. Defaults to 1.
        drop_fraction: Share of a layer's active weights that the first update
            drops, in (0, 1). Defaults to 0.5.
        decay: How `drop_fraction` falls to 0.001 at `end`: `"cosine"`
            (default), `"linear"`, `"inverse_power"`, which is cubic, or a
            number > 0, the exponent of another power. With `"constant"` it
            does not fall.
        unit: What `interval` counts: `"epochs"` (default) or `"steps"`.
        end: Share of training after which masks no longer change, in (0, 1].
            Defaults to 1: they change until the end.
        momentum: What the smoothed gradient keeps of itself a batch, in
            [0, 1). Defaults to 0.9.
        redistribution: What a layer's share of the growth is proportional to:
            `"momentum"` (default) or `"magnitude"`, the mean of either over its
            active weights, `"nonzeros"`, their number, or `"none"`, its size.
        growth: Where weights are grown: `"momentum"` (default), where it is
            largest, or `"random"`.
        batches: How many batches, or steps of training, it is smoothed over,
            an int >= 1. Defaults to 10.
        batch_size: Rows drawn of `(x, y)`. Defaults to 128.
        loss: As for `RigLUpdate`.
        seed: Int >= 0, as for `RigLUpdate`.
        grow_init: As for `RigLUpdate`.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs.
        TypeError: If `data` are of another kind.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.9)
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=20, callbacks=[SNFSUpdate()])
    ```
    """

    def __init__(
        self,
        data=None,
        interval=1,
        *,
        drop_fraction=0.5,
        decay="cosine",
        unit="epochs",
        end=1.0,
        momentum=0.9,
        redistribution="momentum",
        growth="momentum",
        batches=10,
        batch_size=128,
        loss=None,
        seed=0,
        grow_init="zeros",
    ):
        super().__init__(
            data,
            interval,
            drop_fraction=drop_fraction,
            decay=decay,
            unit=unit,
            end=end,
            batches=batches,
            batch_size=batch_size,
            loss=loss,
            seed=seed,
            grow_init=grow_init,
        )
        if not 0 <= momentum < 1:
            raise ValueError(
                "Argument `momentum` must be in [0, 1), or the gradient is "
                f"never heard. Received: {momentum=}"
            )
        for name, value, allowed in (
            ("redistribution", redistribution, REDISTRIBUTIONS),
            ("growth", growth, GROWTHS),
        ):
            if value not in allowed:
                raise ValueError(
                    f"Argument `{name}` must be one of {list(allowed)}. "
                    f"Received: {name}={value!r}"
                )
        self.momentum = momentum
        self.redistribution = redistribution
        self.growth = growth

    @property
    def kept(self):
        """What the momentum keeps of itself from batch to batch."""
        return self.momentum

    def moves(self, masked, mask):
        return masked.weight.trainable

    def shares(self, updates, dropped):
        share_of = REDISTRIBUTIONS[self.redistribution]
        return distributions.shared_out(
            sum(super().shares(updates, dropped).values()),
            {p: share_of(u) for p, u in updates.items()},
            {p: int(np.count_nonzero(~mask)) for p, mask in dropped.items()},
        )

    def grow(self, update, mask, count):
        if self.growth == "random":
            return masks.grow_random(mask, count, update.rng)
        return masks.grow_highest(np.abs(update.gradient), mask, count)

    def get_config(self):
        """The arguments but for the data, which no config can hold."""
        config = {
            **super().get_config(),
            "momentum": self.momentum,
            "redistribution": self.redistribution,
            "growth": self.growth,
        }
        del config["pattern"]  # Weights move from layer to layer: any mask.
        return config
