"""Dynamic sparse training: every few epochs, drop weights and grow others."""

import math

import numpy as np

from keras_snn import masks
from keras_snn.callbacks.base import MaskUpdate
from keras_snn.mask_state import masked_weights
from keras_snn.mask_state import set_masks
from keras_snn.schedules import check_interval

DECAYS = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}
LEAST_DROP_FRACTION = 0.001


class DropAndGrow(MaskUpdate):
    """Moves weights about, every layer's count staying as it is.

    Updates come at the beginning of an epoch, so that what validation sees
    and a checkpoint saves has been trained as it is, and training ends with
    weights that it trained. Layers whose mask is full stay as they are, and so
    do frozen ones, where what is grown would stay 0.

    Subclasses define `drop` and `grow`: NumPy arrays in, a mask out.

    Args:
        interval: Epochs between updates, an int >= 1.
        drop_fraction: Share of a layer's active weights that the first update
            drops, in (0, 1).
        decay: How that share falls over training: `"cosine"` or `"linear"`, to
            0.001 at the end, or `"constant"`.
        seed: Int >= 0. The same seed moves the same weights on every backend
            and after a resume.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, interval=4, *, drop_fraction, decay="cosine", seed=0):
        super().__init__()
        check_interval(interval)
        if not 0 < drop_fraction < 1:
            raise ValueError(
                "Argument `drop_fraction` must be in (0, 1), or nothing or "
                f"everything is dropped. Received: {drop_fraction=}"
            )
        if decay not in DECAYS:
            raise ValueError(
                f"Argument `decay` must be one of {sorted(DECAYS)}. "
                f"Received: {decay=}"
            )
        masks.check_seed(seed)
        self.interval = interval
        self.drop_fraction = drop_fraction
        self.decay = decay
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        if epoch > 0 and epoch % self.interval == 0:
            self.update(self.model, epoch, epoch / self.params["epochs"])

    def update(self, model, step, progress, *, optimizer=None):
        """Drops and grows once: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model with masks.
            step: Int >= 0, another at every update (in `fit`, the epoch):
                random draws derive from it.
            progress: How much of training is done, in [0, 1].
            optimizer: The Keras optimizer whose slots to zero. Defaults to the
                one the model was compiled with.

        Raises:
            ValueError: If the model has no masks, or a score is NaN or
                infinite. Nothing has changed then.
        """
        fraction = self.fraction_at(progress)
        dropped, grown = {}, {}
        for path, masked in masked_weights(model).items():
            mask = masked.mask_array()
            if mask.all() or not masked.weight.trainable:
                continue
            weight = masked.weight_array()
            masks.check_scores(weight, path)
            dropped[path] = self.drop(weight, mask, fraction)
            grown[path] = self.grow(
                dropped[path],
                int(np.count_nonzero(mask) - np.count_nonzero(dropped[path])),
                masks.generator(self.seed, step, masked.index),
            )
        # In two steps, so that what is dropped and grown again restarts at 0.
        set_masks(model, dropped, optimizer=optimizer)
        set_masks(model, grown, optimizer=optimizer)

    def fraction_at(self, progress):
        """The share of active weights to drop at `progress`, in [0, 1]."""
        least = min(LEAST_DROP_FRACTION, self.drop_fraction)
        return least + (self.drop_fraction - least) * DECAYS[self.decay](
            progress
        )

    def drop(self, weight, mask, fraction):
        """`mask` without the share `fraction` of its active weights."""
        raise NotImplementedError

    def grow(self, mask, count, rng):
        """`mask` with `count` positions more."""
        raise NotImplementedError

    def get_config(self):
        """The arguments."""
        return {
            "interval": self.interval,
            "drop_fraction": self.drop_fraction,
            "decay": self.decay,
            "seed": self.seed,
        }
