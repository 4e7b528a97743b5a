"""GraNet: gradual pruning with zero-cost neuroregeneration.

"Sparse Training via Boosting Pruning Plasticity with Neuroregeneration",
https://arxiv.org/abs/2106.10404. Each update prunes to the sparsity of a cubic
schedule by one threshold for the whole model, as GMP does, and then, within
every layer, drops the smallest weights and grows as many by gradient, as RigL
does.

Differs from the paper: shares of training stand for its epochs, and the
schedule is landed on where it ends, where the code stops one update short of
the final sparsity; counts are rounded where the code drops one weight more;
layers that are full are only pruned; frozen ones keep what they have.
"""

import dataclasses

import keras
import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.frozen import sparsity_beside
from keras_snn.callbacks.rigl import RigLUpdate
from keras_snn.choosing.by_score import active_masks
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.set_masks import set_masks
from keras_snn.schedules import DuringTraining


class GraNetUpdate(RigLUpdate):
    """Prunes by a schedule, and regenerates as much as it drops besides.

    Args:
        data: None (default) for the gradient of training, or data to take it
            on, as for `RigLUpdate`.
        schedule: A `DuringTraining`: from which sparsity to which, and in
            which share of training. Its `interval` plays no part:
            updates come every `interval` of this, and masks that are sparser
            to begin with stay so. The paper prunes in the first half.
        interval: Steps between updates, an int >= 1. Defaults to 1000.
        drop_fraction: Share of a layer's active weights that the first update
            regenerates, in (0, 1). Defaults to 0.5.
        end: Share of training after which masks no longer change, in (0, 1].
            Defaults to 1: they change until the end.
        decay: How `drop_fraction` falls to 0.001 at `end`: `"cosine"`
            (default), `"linear"`, `"inverse_power"`, which is cubic, or a
            number > 0, the exponent of another power. With `"constant"` it
            does not fall.
        unit: What `interval` counts: `"steps"` (default) or `"epochs"`.
        pattern: As for `RigLUpdate`. Blocks are pruned by one threshold, a
            constant fan-in in every layer alike.
        batch_size: Rows drawn of `(x, y)`. Defaults to 128.
        batches: As for `RigLUpdate`. Defaults to 1.
        loss: As for `RigLUpdate`.
        seed: Int >= 0, as for `RigLUpdate`.
        grow_init: As for `RigLUpdate`.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs.
        TypeError: If `data` are of another kind, or `schedule` is.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile("sgd", "mse")
    schedule = DuringTraining(0.9, begin=0, end=0.5)
    model.fit(x, y, epochs=20, callbacks=[GraNetUpdate(schedule=schedule)])
    ```
    """

    ends_sparser = True

    def __init__(
        self,
        data=None,
        schedule=None,
        interval=1000,
        *,
        drop_fraction=0.5,
        decay="cosine",
        unit="steps",
        end=1.0,
        pattern=None,
        batch_size=128,
        batches=1,
        loss=None,
        seed=0,
        grow_init="zeros",
    ):
        if not isinstance(schedule, DuringTraining):
            raise TypeError(
                "Argument `schedule` must be a DuringTraining, in shares of "
                f"training as all updates are. Received: {schedule=!r}"
            )
        super().__init__(
            data,
            interval,
            drop_fraction=drop_fraction,
            decay=decay,
            unit=unit,
            end=end,
            pattern=pattern,
            batch_size=batch_size,
            batches=batches,
            loss=loss,
            seed=seed,
            grow_init=grow_init,
        )
        self.due.lands = schedule.end
        self.schedule = schedule

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.check_reached("schedule.end", self.schedule.end)
        weights = masked_weights(self.model)
        moving = {p: m for p, m in weights.items() if m.weight.trainable}
        final = self.schedule.final_sparsity
        sparsity_beside(active_masks(weights), moving, final, "schedule")

    def update_at(self, moment):
        if moment.landing:
            self.land(self.model, moment.progress)
        else:
            super().update_at(moment)

    def land(self, model, progress, *, optimizer=None):
        """Prunes, and moves nothing: what `fit` does where the schedule ends.

        Where an update is due there, it prunes and regenerates.

        Args:
            model: A Keras model with masks.
            progress: How much of training is done, in [0, 1].
            optimizer: As for `update`.
        """
        weights = masked_weights(model)
        before = active_masks(weights)
        moving = {p: m for p, m in weights.items() if self.moves(m, before[p])}
        scores = magnitudes(moving)
        pruned = self.pruned(moving, before, scores, progress)
        set_masks(model, pruned, optimizer=optimizer)

    def moves(self, masked, mask):
        return masked.weight.trainable

    def drop(self, update, fraction):
        if update.mask.all():  # Nothing is inactive, to be grown instead.
            return update.mask
        return super().drop(update, fraction)

    def prune(self, weights, before, updates, progress):
        scores = {path: np.abs(u.weight) for path, u in updates.items()}
        pruned = self.pruned(weights, before, scores, progress)
        return {
            path: dataclasses.replace(update, mask=pruned[path])
            for path, update in updates.items()
        }

    def pruned(self, weights, before, scores, progress):
        """The masks that the schedule asks for, of the weights that move."""
        wanted = self.schedule.sparsity_at(progress)
        total = sum(mask.size for mask in before.values())
        active = sum(int(mask.sum()) for mask in before.values())
        if active <= masks.active_count(total, wanted):
            return {path: before[path] for path in weights}
        wanted = sparsity_beside(before, weights, wanted, "schedule")
        return masks_by_score(weights, scores, wanted, pattern=self.pattern)

    def get_config(self):
        """The arguments but for the data, which no config can hold."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        config = super().get_config()
        del config["ablate"]  # Which GraNet does not take.
        return {**config, "schedule": schedule}

    @classmethod
    def from_config(cls, config, data=None):
        """The callback of a config, with the data to take gradients on."""
        schedule = keras.saving.deserialize_keras_object(
            config["schedule"],
            custom_objects={"DuringTraining": DuringTraining},
        )
        return super().from_config({**config, "schedule": schedule}, data)
