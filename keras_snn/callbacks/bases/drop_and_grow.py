"""Dynamic sparse training: weights are dropped, and others are grown."""

import math

import numpy as np

from keras_snn import patterns
from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.due import Due
from keras_snn.callbacks.bases.exploration import explore
from keras_snn.callbacks.bases.exploration import explored_share
from keras_snn.callbacks.bases.mask_update import MaskUpdate
from keras_snn.callbacks.bases.update import by_position
from keras_snn.callbacks.bases.update import check_gradients
from keras_snn.callbacks.bases.update import with_mask
from keras_snn.checks import check_integer
from keras_snn.checks import check_number
from keras_snn.choosing.by_score import active_masks
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import sparsity
from keras_snn.masking.set_masks import check_pruned
from keras_snn.masking.set_masks import checked_optimizer
from keras_snn.masking.set_masks import move_nonzeros
from keras_snn.masking.set_masks import write_masks

DECAYS = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "inverse_power": lambda progress: (1.0 - progress) ** 3,
}
GROW_INITS = ("zeros", "random_normal", "random_uniform")
LEAST_DROP_FRACTION = 0.001


class DropAndGrow(MaskUpdate):
    """Drops active weights and grows as many others, every so often.

    An update comes before a step or an epoch begins (that of a `ByGradient`
    after the step that it looks at). So the masks that validation sees and a
    checkpoint saves have been trained with, and training ends with weights that
    it trained. Layers whose mask is full stay as they are, and so do frozen
    ones, where what is grown would stay 0.

    Subclasses define `grow`, and `drop` where not the smallest weights go:
    arrays in, a mask out. A method that needs no array of a kernel's shape,
    where layers store only nonzeros, sets `by_position` and defines `grow_at`;
    its own subclasses have to do so again. `state` keeps what must survive a
    resume. The `logs` of an epoch have `exploration`, the share of weights that
    have ever been active: R_s of "Do We Actually Need Dense
    Over-Parameterization?", https://arxiv.org/abs/2102.02887.

    Args:
        interval: Epochs or steps between updates, an int >= 1.
        drop_fraction: Share of a layer's active weights that the first update
            drops, in (0, 1).
        decay: How that share falls to 0.001 at `end`: `"cosine"` (default),
            `"linear"`, `"inverse_power"`, the cube of what is left of training,
            or a number > 0, the exponent in place of 3. With `"constant"` it
            does not fall.
        unit: What `interval` counts: `"epochs"` or `"steps"`, batches.
        end: Share of training after which masks no longer change, in (0, 1].
        pattern: What masks are before and after each update: `"2:4"` and the
            like, or one of `keras_snn.patterns`. Defaults to any. What is
            dropped are the lowest weights of the layer; what is grown makes
            the pattern whole again.
        seed: Int >= 0. The same seed moves the same weights on every backend
            and after a resume.
        grow_init: What grown weights start from, as in RigL's code: `"zeros"`,
            `"random_normal"`, of the standard deviation of the layer's weights,
            or `"random_uniform"`, within their mean magnitude, inactive ones
            counted as 0 in both.
        lands: Share of training at which there is an update in any case, as
            for `Due`; for methods that have such a point.

    Raises:
        ValueError: If an argument is out of range or, when training begins,
            the masks do not have the pattern.

    Example:

    ```python
    class ByMagnitude(keras_snn.DropAndGrow):
        def grow(self, update, mask, count):
            return update.pattern.grow_random(mask, count, update.rng)


    update = ByMagnitude(interval=1, drop_fraction=0.3)
    model.fit(x, y, epochs=20, callbacks=[update])
    ```
    """

    by_position = False

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
        grow_init="zeros",
        lands=None,
    ):
        super().__init__(Due(interval, unit, end, lands=lands))
        check_number("drop_fraction", drop_fraction, "a share of weights")
        if not 0 < drop_fraction < 1:
            raise ValueError(
                "Argument `drop_fraction` must be in (0, 1), or nothing or "
                f"everything is dropped. Received: {drop_fraction=}"
            )
        exponent = isinstance(decay, (int, float)) and decay > 0
        if not exponent and not (isinstance(decay, str) and decay in DECAYS):
            raise ValueError(
                f"Argument `decay` must be one of {sorted(DECAYS)}, or an "
                f"exponent > 0. Received: decay={decay!r}"
            )
        if grow_init not in GROW_INITS:
            raise ValueError(
                f"Argument `grow_init` must be one of {GROW_INITS}. "
                f"Received: {grow_init=}"
            )
        check_integer("seed", seed, 0, "which random draws derive from")
        self.drop_fraction = drop_fraction
        self.decay = decay
        self.pattern = patterns.get(pattern)
        self.grow_init = grow_init
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
        whole, _ = self._split(weights)
        self._patterns(whole, active_masks(whole))

    def doubts(self):
        yield from super().doubts()
        whole, stored = self._split(masked_weights(self.model))
        active = active_masks(whole)
        moving = any(self.moves(m, active[p]) for p, m in whole.items()) or any(
            m.weight.trainable and m.active_count() < m.size
            for m in stored.values()
        )
        if not moving:
            yield (
                "Masks move where a layer trains and has inactive weights, and "
                "none of this model does: begin with `sparsify(model, "
                "sparsity)` of a sparsity above 0. Received: "
                f"{self.model.name!r} of sparsity {sparsity(self.model):.6g}"
            )

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        if "explored" not in self.state:
            whole, stored = self._split(masked_weights(self.model))
            explore(self.model, active_masks(whole), _positions(stored))

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if logs is not None:
            logs["exploration"] = explored_share(self.model)

    def update_at(self, moment):
        self.update(self.model, moment.step, moment.progress)

    def update(self, model, step, progress, *, gradients=None, optimizer=None):
        """Drops and grows once: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model with masks.
            step: Int >= 0, another at every update (in `fit`, the epoch or the
                step): random draws derive from it.
            progress: How much of training is done, in [0, 1].
            optimizer: The Keras optimizer whose slots to zero, or one of
                `torch.optim`. Defaults to the one the model was compiled with.
            gradients: Dict of weight path to array, for methods that look at
                gradients. Defaults to those that the method takes itself.

        Raises:
            ValueError: If the model has no masks, a mask does not have the
                pattern, a gradient is missing, a score is NaN or infinite, or
                the loop has moved weights outside the masks. Nothing has
                changed then.
        """
        check_number("progress", progress, "a share of training")
        if not 0 <= progress <= 1:
            raise ValueError(
                "Argument `progress` must be the share of training that is "
                f"done, in [0, 1]. Received: {progress=}"
            )
        check_integer("step", step, 0, "which random draws derive from")
        optimizer = checked_optimizer(optimizer, model)
        whole, stored = self._split(masked_weights(model))
        before, at = active_masks(whole), _positions(stored)
        whole = {p: m for p, m in whole.items() if self.moves(m, before[p])}
        stored = {
            path: masked
            for path, masked in stored.items()
            if masked.weight.trainable and len(at[path]) < masked.size
        }
        moving = whole | stored
        of_layers = self._patterns(whole, before)
        if gradients is None:
            gradients = self.gradients(model, moving, step) if moving else {}
        else:
            check_gradients(gradients, moving)
        updates = {}
        for path, masked in moving.items():
            rng = masks.generator(self.seed, step, masked.index)
            seen = {"gradients": gradients, "path": path, "rng": rng}
            if path in whole:
                seen["pattern"] = of_layers[path]
                updates[path] = with_mask(masked, before[path], **seen)
            else:
                updates[path] = by_position(masked, at[path], **seen)
        if self.params is None:  # In a loop of a user's own.
            check_pruned(whole, before, optimizer)
        updates = self.prune(whole, before, updates, progress)
        fraction = self.fraction_at(progress)
        dropped = {p: self.drop(u, fraction) for p, u in updates.items()}
        counts = self.shares(updates, dropped)
        grown = {
            path: self.grow(updates[path], dropped[path], counts[path])
            for path in whole
        }
        moved = {
            path: self.grow_at(
                updates[path], at[path][dropped[path]], counts[path]
            )
            for path in stored
        }
        restart = self.restarts(dropped)
        write_masks(
            whole,
            before,
            grown,
            optimizer=optimizer,
            restart=restart,
            start=self.starts(updates),
        )
        kept = {
            path: ~restart[path] if restart else updates[path].mask
            for path in stored
        }
        move_nonzeros(stored, moved, kept=kept, optimizer=optimizer)
        explore(model, before | grown, at | moved)

    def _split(self, weights):
        """The weights whose masks are arrays, and those known by position."""
        by_position = (
            vars(type(self)).get("by_position")
            and self.pattern == patterns.ANY
            and self.grow_init == "zeros"
        )
        stored = {
            path: masked
            for path, masked in weights.items()
            if by_position and masked.computes == "sparse"
        }
        return {p: m for p, m in weights.items() if p not in stored}, stored

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

    def starts(self, updates):
        """What grown weights start from: arrays by path; None for 0."""
        if self.grow_init == "zeros":
            return None
        return {
            path: _start(self.grow_init, update.weight, update.rng)
            for path, update in updates.items()
        }

    def fraction_at(self, progress):
        """The share of active weights to drop at `progress`, in [0, 1]."""
        least = min(LEAST_DROP_FRACTION, self.drop_fraction)
        done = min(progress / self.due.end, 1.0)
        decay = (
            DECAYS[self.decay](done)
            if isinstance(self.decay, str)
            else (1.0 - done) ** self.decay
        )
        return least + (self.drop_fraction - least) * decay

    def moves(self, masked, mask):
        """Whether weights move in a `MaskedWeight`, not full and not frozen."""
        return masked.weight.trainable and not mask.all()

    def gradients(self, model, weights, step):
        """What the method looks at besides weights: arrays by path."""
        return {}

    def prune(self, weights, before, updates, progress):
        """The updates, their masks pruned first where the method does so.

        Args:
            weights: Dict of path to `MaskedWeight`, those that move.
            before: Dict of path to mask, of all, as they are.
            updates: Dict of path to `Update`, of those that move.
            progress: How much of training is done.
        """
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

    def grow_at(self, update, positions, count):
        """`positions` with `count` more, in increasing order."""
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
            "grow_init": self.grow_init,
        }


def _positions(stored):
    """Where the nonzeros of layers are that store only these, by path."""
    return {path: m.owner.layer.positions() for path, m in stored.items()}


def _start(grow_init, weight, rng):
    if grow_init == "random_normal":
        return rng.normal(0.0, weight.std(), weight.shape)
    bound = np.abs(weight).mean()
    return rng.uniform(-bound, bound, weight.shape)
