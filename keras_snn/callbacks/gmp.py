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
        super().__init__()
        if not callable(schedule) and not hasattr(schedule, "at"):
            raise TypeError(
                "Argument `schedule` must be a PruningSchedule, called with a "
                f"step, or DuringTraining. Received: {schedule=!r}"
            )
        check_scope(scope, self.scopes)
        self.schedule = schedule
        self.scope = scope
        self._in_steps = None

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._in_steps = None

    def on_epoch_begin(self, epoch, logs=None):
        steps = self.params["steps"]
        if hasattr(self.schedule, "at"):
            steps = self.steps_per_epoch()
            self._per_update, self._first = 1, epoch * steps
            schedule = self.schedule.at(self.params["epochs"], steps)
        else:
            optimizer = self.model.optimizer
            optimizer = getattr(optimizer, "inner_optimizer", optimizer)
            self._per_update = optimizer.gradient_accumulation_steps or 1
            self._first = int(optimizer._iterations)  # Batches, not updates.
            schedule = self.schedule
        if self._in_steps is None:
            self._in_steps, self._asked = schedule, self._step(0) - 1
            resumed = epoch > 0
            self._landed = resumed and 0 <= self._end <= self._step(0)
            if steps is not None:
                left = (self.params["epochs"] - epoch) * steps
                self._check_reached(self._step(left))

    def on_train_batch_begin(self, batch, logs=None):
        self._advance(self._step(batch))

    def on_train_batch_end(self, batch, logs=None):
        done = self._step(batch + 1)
        if not self._landed and 0 <= self._end <= done:
            self._landed = True
            self.update(self.model, self._in_steps(self._end)[1])

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

    @property
    def _end(self):
        return getattr(self._in_steps, "end_step", -1)

    def _step(self, batches):
        """Optimizer updates done after so many batches of the epoch."""
        return (self._first + batches) // self._per_update

    def _advance(self, step):
        """Asks the schedule for every step that came since; prunes once."""
        wanted = None
        for asked in range(self._asked + 1, step + 1):
            due, sparsity = self._in_steps(asked)
            if due:
                wanted = sparsity
        self._asked = max(self._asked, step)
        if wanted is not None:
            self.update(self.model, wanted)

    def _check_reached(self, last_step):
        begin = getattr(self._in_steps, "begin_step", 0)
        if max(begin, self._end) > last_step:
            raise ValueError(
                "A schedule must begin and end within training, or the final "
                f"sparsity is never reached. Received: begin_step={begin} and "
                f"end_step={self._end}, and training ends at step {last_step}"
            )

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
