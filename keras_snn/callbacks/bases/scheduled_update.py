"""What methods share whose sparsity follows a schedule."""

import keras

from keras_snn.callbacks.bases.due import BySchedule
from keras_snn.callbacks.bases.mask_update import MaskUpdate
from keras_snn.schedules import ConstantSparsity
from keras_snn.schedules import DuringTraining
from keras_snn.schedules import PolynomialDecay
from keras_snn.schedules.updates import check_schedule

# By name, tfmot's two as well: their names and arguments are the same.
SCHEDULES = {
    schedule.__name__: schedule
    for schedule in (ConstantSparsity, PolynomialDecay, DuringTraining)
}


class ScheduledUpdate(MaskUpdate):
    """Changes masks whenever a schedule says so.

    Subclasses define `update(model, sparsity)`.

    Args:
        schedule: A `PruningSchedule`, any object of its protocol, such as
            tfmot's, or `DuringTraining`, which speaks in shares of training.
        keeps_up: As for `BySchedule`.

    Raises:
        TypeError: If `schedule` cannot be called with a step.
    """

    ends_sparser = True

    def __init__(self, schedule, *, keeps_up=False):
        super().__init__(BySchedule(schedule, keeps_up=keeps_up))
        check_schedule(schedule)
        self.schedule = schedule

    def update_at(self, moment):
        self.update(self.model, moment.sparsity)

    def update(self, model, sparsity, *, optimizer=None):
        """Changes masks once: what `fit` does, for a loop of your own."""
        raise NotImplementedError

    def get_config(self):
        """The arguments; a schedule of tfmot comes back as the same of ours."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule}

    @classmethod
    def from_config(cls, config):
        """The callback of a config."""
        schedule = keras.saving.deserialize_keras_object(
            config["schedule"], custom_objects=SCHEDULES
        )
        return cls(**{**config, "schedule": schedule})
