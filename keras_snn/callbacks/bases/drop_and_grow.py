"""Dynamic sparse training: now and then, drop weights and grow others."""

import dataclasses
import math

import numpy as np

from keras_snn import patterns
from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.mask_update import MaskUpdate
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import set_masks
from keras_snn.schedules import check_interval

DECAYS = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}
LEAST_DROP_FRACTION = 0.001
UNITS = ("epochs", "steps")


@dataclasses.dataclass(frozen=True)
class Update:
    """One masked weight in the midst of a mask update.

    Attributes:
        weight: Its values, a float array.
        mask: Its mask before the update, a bool array of the same shape.
        gradient: What the method's `gradients` gave for it; None where the
            method needs none.
        rng: The NumPy generator of this weight in this update.
        pattern: What its masks must be.
    """

    weight: np.ndarray
    mask: np.ndarray
    gradient: np.ndarray | None = None
    rng: np.random.Generator | None = None
    pattern: patterns.Pattern = patterns.ANY


class DropAndGrow(MaskUpdate):
    """Moves weights about, the model's count staying as it is.

    An update comes before a step or an epoch begins, so that what validation
    sees and a checkpoint saves has been trained as it is, and training ends
    with weights that it trained. Layers whose mask is full stay as they are,
    and so do frozen ones, where what is grown would stay 0.

    Subclasses define `drop` and `grow`: arrays in, a mask out.

    Args:
        interval: Epochs or steps between updates, an int >= 1.
        drop_fraction: Share of a layer's active weights that the first update
            drops, in (0, 1).
        decay: How that share falls until `end`: `"cosine"` or `"linear"`, to
            0.001, or `"constant"`.
        unit: What `interval` counts: `"epochs"` or `"steps"`, batches.
        end: Share of training after which masks stay, in (0, 1].
        pattern: What masks are before and after each update: `"2:4"` and the
            like, or one of `keras_snn.patterns`. Defaults to any. What is
            dropped are the lowest weights of the layer; what is grown makes
            the pattern whole again.
        seed: Int >= 0. The same seed moves the same weights on every backend
            and after a resume.

    Raises:
        ValueError: If an argument is out of range or, when training begins,
            masks have not the pattern.
    """

    def __init__(
        self,
        interval,
        *,
        drop_fraction,
        decay="cosine",
        unit="epochs",
        end=1.0,
        pattern=None,
        seed=0,
    ):
        super().__init__()
        check_interval(interval)
        if not 0 < drop_fraction < 1:
            raise ValueError(
                "Argument `drop_fraction` must be in (0, 1), or nothing or "
                f"everything is dropped. Received: {drop_fraction=}"
            )
        for name, value, known in (
            ("decay", decay, sorted(DECAYS)),
            ("unit", unit, UNITS),
        ):
            if value not in known:
                raise ValueError(
                    f"Argument `{name}` must be one of {known}. "
                    f"Received: {name}={value!r}"
                )
        if not 0 < end <= 1:
            raise ValueError(
                "Argument `end` must be a share of training in (0, 1], or "
                f"masks would never change. Received: {end=}"
            )
        masks.check_seed(seed)
        self.interval = interval
        self.drop_fraction = drop_fraction
        self.decay = decay
        self.unit = unit
        self.end = end
        self.pattern = patterns.get(pattern)
        self.seed = seed

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._last_step = None
        weights = masked_weights(self.model)
        if any(m.companion is not None for m in weights.values()):
            raise ValueError(
                "Weights that are grown start from 0, so inactive ones must be "
                "stored as 0: sparsify the model with the default wrapper. "
                f"Received: {self.model.name!r}, which trains them"
            )
        self._patterns(weights)

    def on_epoch_begin(self, epoch, logs=None):
        if self.unit == "steps":
            self._first_step = epoch * self.steps_per_epoch()
            if self._last_step is None:
                self._last_step = self._first_step - 1
        elif epoch > 0 and epoch % self.interval == 0:
            self._update_at(epoch, epoch / self.params["epochs"])

    def on_train_batch_begin(self, batch, logs=None):
        if self.unit == "steps":
            step = self._first_step + batch
            # Keras may take several steps at a time.
            due = step // self.interval > self._last_step // self.interval
            self._last_step = step
            if step > 0 and due:
                steps = self.params["epochs"] * self.steps_per_epoch()
                self._update_at(step, step / steps)

    def _update_at(self, step, progress):
        if progress < self.end:
            self.update(self.model, step, progress)

    def update(self, model, step, progress, *, optimizer=None):
        """Drops and grows once: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model with masks.
            step: Int >= 0, another at every update (in `fit`, the epoch or the
                step): random draws derive from it.
            progress: How much of training is done, in [0, 1].
            optimizer: The Keras optimizer whose slots to zero. Defaults to the
                one the model was compiled with.

        Raises:
            ValueError: If the model has no masks, a mask has not the pattern,
                or a score is NaN or infinite. Nothing has changed then.
        """
        weights = {
            path: masked
            for path, masked in masked_weights(model).items()
            if self.moves(masked)
        }
        of_layers = self._patterns(weights)
        gradients = self.gradients(model, weights, step) if weights else {}
        updates = {}
        for path, masked in weights.items():
            updates[path] = Update(
                masked.weight_array(),
                masked.mask_array().copy(),
                gradients.get(path),
                masks.generator(self.seed, step, masked.index),
                of_layers[path],
            )
            masks.check_scores(updates[path].weight, path)
            if path in gradients:
                masks.check_scores(gradients[path], path)
        updates = self.prune(weights, updates, progress)
        fraction = self.fraction_at(progress)
        dropped = {p: self.drop(u, fraction) for p, u in updates.items()}
        counts = self.shares(updates, dropped)
        grown = {
            path: self.grow(update, dropped[path], counts[path])
            for path, update in updates.items()
        }
        # In two steps, so that what is dropped and grown again restarts at 0.
        set_masks(model, dropped, optimizer=optimizer)
        set_masks(model, grown, optimizer=optimizer)

    def _patterns(self, weights):
        """The pattern of each weight, which its mask has."""
        of_layers = patterns.for_weights(self.pattern, weights)
        for path, masked in weights.items():
            of_layers[path].check(masked.mask_array(), path)
        return of_layers

    def fraction_at(self, progress):
        """The share of active weights to drop at `progress`, in [0, 1]."""
        least = min(LEAST_DROP_FRACTION, self.drop_fraction)
        decay = DECAYS[self.decay](min(progress / self.end, 1.0))
        return least + (self.drop_fraction - least) * decay

    def moves(self, masked):
        """Whether weights move in a `MaskedWeight`, not full and not frozen."""
        return masked.weight.trainable and not masked.mask_array().all()

    def gradients(self, model, weights, step):
        """What the method looks at besides weights: arrays by path."""
        return {}

    def prune(self, weights, updates, progress):
        """The updates, their masks pruned first where the method does so."""
        return updates

    def drop(self, update, fraction):
        """The mask without the share `fraction` of its active weights."""
        return update.pattern.drop_lowest(
            np.abs(update.weight), update.mask, self.count(update, fraction)
        )

    def count(self, update, fraction):
        """That share of the active weights, an int; some of them stay."""
        unit = update.pattern.unit
        active = int(np.count_nonzero(update.mask)) // unit
        return unit * min(round(fraction * active), active - 1)

    def shares(self, updates, dropped):
        """How many weights each layer grows: as many as it dropped."""
        return {
            path: int(np.count_nonzero(update.mask) - dropped[path].sum())
            for path, update in updates.items()
        }

    def grow(self, update, mask, count):
        """`mask` with `count` positions more."""
        raise NotImplementedError

    def get_config(self):
        """The arguments."""
        return {
            "interval": self.interval,
            "drop_fraction": self.drop_fraction,
            "decay": self.decay,
            "unit": self.unit,
            "end": self.end,
            "pattern": patterns.serialize(self.pattern),
            "seed": self.seed,
        }
