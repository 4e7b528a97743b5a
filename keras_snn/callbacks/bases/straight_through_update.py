"""What methods share whose inactive weights go on training."""

from keras_snn.callbacks.bases.due import Due
from keras_snn.callbacks.bases.mask_update import MaskUpdate
from keras_snn.masking.mask_state import wrapped_by
from keras_snn.masking.straight_through_layer import StraightThroughLayer


class StraightThroughUpdate(MaskUpdate):
    """Chooses masks again every few steps, while a penalty draws weights to 0.

    It does so after the last step of each epoch as well, so that what is
    validated and saved has the masks of its own weights. Subclasses define
    `decays` and `update`.

    Args:
        interval: Steps between updates, an int >= 1.
        penalty: Factor of the penalty, >= 0.

    Raises:
        ValueError: If an argument is out of range or, when training begins,
            the model is not wrapped by `StraightThroughLayer`s.
    """

    def __init__(self, interval, penalty):
        super().__init__(Due(interval, "steps", at_once=True, keeps_up=True))
        if not penalty >= 0:
            raise ValueError(
                "Argument `penalty` must be >= 0, or weights would be pushed "
                f"away from 0. Received: {penalty=}"
            )
        self.penalty = penalty

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._decay(*self.decays())

    def update_at(self, moment):
        self.update(self.model)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        self._decay(0.0, 0.0)

    def decays(self):
        """The factors of the penalty on active and on inactive weights."""
        raise NotImplementedError

    def update(self, model, *, optimizer=None):
        """Chooses masks: what `fit` does, for a loop of your own."""
        raise NotImplementedError

    def _decay(self, active, inactive):
        for layer in wrapped_by(self.model, StraightThroughLayer):
            layer.active_decay.assign(active)
            layer.inactive_decay.assign(inactive)
