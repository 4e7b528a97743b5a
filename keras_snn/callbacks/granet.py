"""GraNet: gradual pruning with zero-cost neuroregeneration.

"Sparse Training via Boosting Pruning Plasticity with Neuroregeneration",
https://arxiv.org/abs/2106.10404. Each update prunes to the sparsity of a cubic
schedule by one threshold for the whole model, as GMP does, and then, within
every layer, drops the smallest weights and grows as many by gradient, as RigL
does.

Differs from the paper: gradients are of a batch drawn from `data`; shares of
training stand for its epochs.
"""

import dataclasses

import keras
import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.callbacks.rigl import RigLUpdate
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import total_size
from keras_snn.schedules import DuringTraining


class GraNetUpdate(RigLUpdate):
    """Prunes by a schedule, and regenerates as much as it drops besides.

    Args:
        data: Training data to take gradients on, as for `RigLUpdate`.
        schedule: A `DuringTraining`: from which sparsity to which, and in
            which share of training. Its `interval` plays no part:
            updates come every `interval` of this, and masks that are sparser
            to begin with stay so. The paper prunes in the first half.
        interval: Steps between updates, an int >= 1. Defaults to 1000.
        drop_fraction: Share of a layer's active weights that the first update
            regenerates, in (0, 1). Defaults to 0.5.
        end: Share of training after which masks stay, in (0, 1]. Defaults to
            1.
        **options: `decay`, `unit`, `batch_size`, `loss`, `pattern` and `seed`,
            as for `RigLUpdate`. Blocks are pruned by one threshold, a constant
            fan-in in every layer alike.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs.
        TypeError: If `data` are of another kind, or `schedule` is.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile("sgd", "mse")
    schedule = DuringTraining(0.9, begin=0, end=0.5)
    model.fit(x, y, epochs=20, callbacks=[GraNetUpdate((x, y), schedule)])
    ```
    """

    def __init__(
        self,
        data,
        schedule,
        interval=1000,
        *,
        drop_fraction=0.5,
        end=1.0,
        **options,
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
            end=end,
            lands=schedule.end,
            **options,
        )
        self.schedule = schedule

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.check_reached("schedule.end", self.schedule.end)

    def moves(self, masked, mask):
        return masked.weight.trainable

    def drop(self, update, fraction):
        if update.mask.all():  # All that is dropped would come back, as 0.
            return update.mask
        return super().drop(update, fraction)

    def prune(self, weights, updates, progress):
        wanted = self.schedule.sparsity_at(progress)
        active = sum(np.count_nonzero(u.mask) for u in updates.values())
        if active <= masks.active_count(total_size(weights), wanted):
            return updates
        scores = {path: np.abs(u.weight) for path, u in updates.items()}
        pruned = masks_by_score(weights, scores, wanted, pattern=self.pattern)
        return {
            path: dataclasses.replace(update, mask=pruned[path])
            for path, update in updates.items()
        }

    def get_config(self):
        """The arguments but for the data, which no config can hold."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {**super().get_config(), "schedule": schedule}

    @classmethod
    def from_config(cls, config, data=None):
        """The callback of a config, with the data to take gradients on."""
        schedule = keras.saving.deserialize_keras_object(
            config["schedule"],
            custom_objects={"DuringTraining": DuringTraining},
        )
        return super().from_config({**config, "schedule": schedule}, data)
