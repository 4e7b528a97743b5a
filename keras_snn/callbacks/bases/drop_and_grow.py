"""Dynamic sparse training: every so often, drop weights and grow others."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from keras_snn import patterns
from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.due import Due
from keras_snn.callbacks.bases.mask_update import MaskUpdate
from keras_snn.checks import check_integer
from keras_snn.choosing.by_score import active_masks
from keras_snn.masking.mask_state import checked_optimizer
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import write_masks

DECAYS = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}
LEAST_DROP_FRACTION = 0.001


@dataclasses.dataclass(frozen=True)
class Update:
    """One masked weight in the midst of a mask update.

    Attributes:
        weight: Its values, a float array.
        mask: Its mask before the update, a bool array of the same shape.
        given: What the method's `gradients` gave for it, or a function that
            returns it; None where the method needs none.
        rng: The NumPy generator of this weight in this update.
        pattern: What its masks must be.
    """

    weight: np.ndarray
    mask: np.ndarray
    given: np.ndarray | Callable | None = None
    rng: np.random.Generator | None = None
    pattern: patterns.Pattern = patterns.ANY

    @property
    def gradient(self):
        """The gradient of every weight, made when it is asked for."""
        return self.given() if callable(self.given) else self.given


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
        lands: Share of training at which there is an update in any case, as
            for `Due`; for methods that have such a point.

    Raises:
        ValueError: If an argument is out of range or, when training begins,
            the masks do not have the pattern.
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
        lands=None,
    ):
        super().__init__(Due(interval, unit, end, lands=lands))
        if not 0 < drop_fraction < 1:
            raise ValueError(
                "Argument `drop_fraction` must be in (0, 1), or nothing or "
                f"everything is dropped. Received: {drop_fraction=}"
            )
        if decay not in DECAYS:
            raise ValueError(
                f"Argument `decay` must be one of {sorted(DECAYS)}. "
                f"Received: decay={decay!r}"
            )
        check_integer("seed", seed, 0, "which random draws derive from")
        self.drop_fraction = drop_fraction
        self.decay = decay
        self.pattern = patterns.get(pattern)
        self.seed = seed

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        weights = masked_weights(self.model)
        if any(m.keeps_inactive for m in weights.values()):
            raise ValueError(
                "Weights that are grown start from 0, so inactive ones must be "
                "stored as 0: sparsify the model with the default wrapper. "
                f"Received: {self.model.name!r}, which trains them"
            )
        self._patterns(weights, active_masks(weights))

    def update_at(self, moment):
        self.update(self.model, moment.step, moment.progress)

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
            ValueError: If the model has no masks, a mask does not have the
                pattern, or a score is NaN or infinite. Nothing has changed
                then.
        """
        weights = masked_weights(model)
        before = active_masks(weights)
        moving = {p: m for p, m in weights.items() if self.moves(m, before[p])}
        of_layers = self._patterns(moving, before)
        gradients = self.gradients(model, moving, step) if moving else {}
        updates = {}
        for path, masked in moving.items():
            updates[path] = Update(
                masked.weight_array(),
                before[path],
                _checked(gradients, path) if path in gradients else None,
                masks.generator(self.seed, step, masked.index),
                of_layers[path],
            )
            masks.check_scores(updates[path].weight, path)
        updates = self.prune(moving, updates, progress)
        fraction = self.fraction_at(progress)
        dropped = {p: self.drop(u, fraction) for p, u in updates.items()}
        counts = self.shares(updates, dropped)
        grown = {
            path: self.grow(update, dropped[path], counts[path])
            for path, update in updates.items()
        }
        write_masks(
            moving,
            before,
            grown,
            optimizer=checked_optimizer(optimizer, model),
            restart=self.restarts(dropped),
        )

    def _patterns(self, weights, active):
        """The pattern of each weight, which its mask has."""
        of_layers = patterns.for_weights(self.pattern, weights)
        for path in weights:
            of_layers[path].check(active[path], path)
        return of_layers

    def restarts(self, dropped):
        """Which weights start anew though they are active again: none.

        What is dropped and grown in one update keeps its value, as in the
        code of RigL, GraNet, SRigL and in jaxpruner.

        Args:
            dropped: Dict of path to mask, before anything is grown.

        Returns:
            A dict of path to bool array, or None.
        """
        return None

    def fraction_at(self, progress):
        """The share of active weights to drop at `progress`, in [0, 1]."""
        least = min(LEAST_DROP_FRACTION, self.drop_fraction)
        decay = DECAYS[self.decay](min(progress / self.due.end, 1.0))
        return least + (self.drop_fraction - least) * decay

    def moves(self, masked, mask):
        """Whether weights move in a `MaskedWeight`, not full and not frozen."""
        return masked.weight.trainable and not mask.all()

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
        return unit * max(min(round(fraction * active), active - 1), 0)

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
            "interval": self.due.interval,
            "drop_fraction": self.drop_fraction,
            "decay": self.decay,
            "unit": self.due.unit,
            "end": self.due.end,
            "pattern": patterns.serialize(self.pattern),
            "seed": self.seed,
        }


def _checked(gradients, path):
    """A function that returns one of many gradients, if it is finite."""
    return lambda: masks.check_scores(gradients[path], path)
