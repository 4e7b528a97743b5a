"""GMP: gradual magnitude pruning.

"To prune, or not to prune: exploring the efficacy of pruning for model
compression", https://arxiv.org/abs/1710.01878. The sparsity follows a schedule,
cubic by default, and at each of its steps the smallest weights go, for good.

Differs from the paper: one threshold for the whole model, as in "Are Sparse
Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196; `scope="layer"` is the paper's. The last
update lands on the final sparsity, whether or not `frequency` meets it.
"""

import keras

from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.due import BySchedule
from keras_snn.callbacks.bases.mask_update import MaskUpdate
from keras_snn.choosing.by_score import SCOPES
from keras_snn.choosing.by_score import check_scope
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import set_masks
from keras_snn.masking.mask_state import sparsity as sparsity_of
from keras_snn.schedules import ConstantSparsity
from keras_snn.schedules import DuringTraining
from keras_snn.schedules import PolynomialDecay

# By name, tfmot's two as well: their names and arguments are the same.
SCHEDULES = {
    schedule.__name__: schedule
    for schedule in (ConstantSparsity, PolynomialDecay, DuringTraining)
}


class GMPUpdate(MaskUpdate):
    """Prunes by magnitude during training, as a schedule says.

    A step is one update of the optimizer. An update at step t comes after t
    updates of the optimizer, before the next; the last comes as soon as
    `end_step` of them are done. Masks only shrink.

    Args:
        schedule: A `PruningSchedule`, any object of its protocol, such as
            tfmot's, or `DuringTraining`, which speaks in shares of training.
        scope: `"global"` (default): one threshold for the model. `"layer"`:
            the same sparsity in every layer. `"lamp"`: as for
            `prune_magnitude`.

    Raises:
        TypeError: If `schedule` cannot be called with a step.
        ValueError: If `scope` is unknown or, when training begins, the model
            has no masks or the schedule ends after training.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile("sgd", "mse")
    schedule = DuringTraining(0.9, begin=0.1, end=0.8, interval=4)
    model.fit(x, y, epochs=20, callbacks=[GMPUpdate(schedule)])
    ```
    """

    scopes = SCOPES

    def __init__(self, schedule, *, scope="global"):
        super().__init__(BySchedule(schedule))
        if not callable(schedule) and not hasattr(schedule, "at"):
            raise TypeError(
                "Argument `schedule` must be a PruningSchedule, called with a "
                f"step, or DuringTraining. Received: {schedule=!r}"
            )
        check_scope(scope, self.scopes)
        self.schedule = schedule
        self.scope = scope

    def update_at(self, moment):
        self.update(self.model, moment.sparsity)

    def update(self, model, sparsity, *, optimizer=None):
        """Prunes once: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model with masks.
            sparsity: Fraction of zeros in all, in [0, 1). Where the model is
                that sparse, nothing happens.
            optimizer: The Keras optimizer whose slots to zero. Defaults to the
                one the model was compiled with.

        Raises:
            ValueError: If the model has no masks, the sparsity is out of range
                or would empty a layer, or a weight is NaN or infinite. Nothing
                has changed then.
        """
        sparsity = masks.check_sparsity(float(sparsity))
        weights = masked_weights(model)
        if sparsity <= sparsity_of(model):
            return
        chosen = masks_by_score(
            weights, magnitudes(weights), sparsity, scope=self.scope
        )
        set_masks(model, chosen, optimizer=optimizer, requested=sparsity)

    def get_config(self):
        """The arguments; a schedule of tfmot comes back as the same of ours."""
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "scope": self.scope,
        }

    @classmethod
    def from_config(cls, config):
        """The callback of a config."""
        schedule = keras.saving.deserialize_keras_object(
            config["schedule"], custom_objects=SCHEDULES
        )
        return cls(schedule, scope=config["scope"])
