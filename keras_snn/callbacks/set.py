"""SET: Sparse Evolutionary Training.

"Scalable training of artificial neural networks with adaptive sparse
connectivity inspired by network science", https://arxiv.org/abs/1707.04780.
At each update, in every layer, the fraction zeta of the positive weights
nearest zero is dropped, and the fraction zeta of the negative ones nearest
zero; as many connections are grown at random, and start from 0.

Differs from the paper: updates come every `interval` epochs and zeta decays by
a cosine, as in "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196, where the paper updates every epoch with a
constant zeta of 0.3; no connections are removed after the last epoch.
"""

import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.drop_and_grow import DropAndGrow


class SETUpdate(DropAndGrow):
    """Drops the weights nearest zero of either sign, grows others at random.

    Args:
        interval: Epochs between updates, an int >= 1. Defaults to 4.
        drop_fraction: Zeta: share of the active weights of either sign that
            the first update drops, in (0, 1). Defaults to 0.2.
        decay: How `drop_fraction` falls to 0.001 at `end`: `"cosine"`
            (default), `"linear"`, `"inverse_power"`, which is cubic, or a
            number > 0, the exponent of another power. With `"constant"` it
            does not fall.
        unit: What `interval` counts: `"epochs"` (default) or `"steps"`.
        end: Share of training after which masks no longer change, in (0, 1].
            Defaults to 1: they change until the end.
        pattern: What masks are before and after each update: `"2:4"` and the
            like, or one of `keras_snn.patterns`. Defaults to any. A block of
            weights has no sign: those of the smallest magnitude go.
        seed: Int >= 0. The same seed moves the same weights on every backend
            and after a resume.
        grow_init: What grown weights start from: `"zeros"` (default),
            `"random_normal"`, of the standard deviation of the layer's weights,
            or `"random_uniform"`, within their mean magnitude.
        drop_by: `"sign"` (default): the share of the positive weights, and of
            the negative ones, nearest zero; or `"magnitude"`: of all, as most
            code has it.

    Raises:
        ValueError: If an argument is out of range or, when training begins,
            the model has no masks, or they lack the pattern.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.8)
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=20, callbacks=[SETUpdate(interval=4)])
    ```
    """

    by_position = True

    def __init__(
        self,
        interval=4,
        *,
        drop_fraction=0.2,
        decay="cosine",
        unit="epochs",
        end=1.0,
        pattern=None,
        seed=0,
        grow_init="zeros",
        drop_by="sign",
    ):
        if drop_by not in ("sign", "magnitude"):
            raise ValueError(
                'Argument `drop_by` must be "sign" or "magnitude". '
                f"Received: {drop_by=}"
            )
        super().__init__(
            interval,
            drop_fraction=drop_fraction,
            decay=decay,
            unit=unit,
            end=end,
            pattern=pattern,
            seed=seed,
            grow_init=grow_init,
        )
        self.drop_by = drop_by

    def drop(self, update, fraction):
        if self.drop_by == "magnitude" or update.pattern.unit > 1:
            return super().drop(update, fraction)
        weight, mask = update.weight, update.mask
        for of_sign in (mask & (weight >= 0), mask & (weight < 0)):
            count = round(fraction * np.count_nonzero(of_sign))
            kept = masks.drop_lowest(np.abs(weight), of_sign, count)
            mask = mask & (kept | ~of_sign)
        return mask if mask.any() else super().drop(update, fraction)

    def restarts(self, dropped):
        return {path: ~mask for path, mask in dropped.items()}

    def grow(self, update, mask, count):
        return update.pattern.grow_random(mask, count, update.rng)

    def grow_at(self, update, positions, count):
        return masks.grown_at_random(positions, update.size, count, update.rng)

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), "drop_by": self.drop_by}
