"""What methods that look at gradients share: whose, and how to take them."""

import warnings

import keras
import numpy as np

from keras_snn.callbacks.bases.batches import Batches
from keras_snn.callbacks.bases.drop_and_grow import DropAndGrow
from keras_snn.callbacks.bases.training_gradients import TrainingGradients
from keras_snn.callbacks.bases.training_gradients import undo_next
from keras_snn.checks import check_integer
from keras_snn.gradients.of_masked import dense_gradients


class ByGradient(DropAndGrow):
    """Drops and grows, looking at the gradient of every masked weight.

    By default it looks at the gradient of training itself: an update that is
    due before a step takes the gradient of this step, whatever its `train_step`
    does, and comes after it. An update that is due before the last step of an
    epoch waits for the first step of the next, so that a resumed training sees
    what an undisturbed one does; where an epoch is one step, or Keras runs all
    of its steps at once, updates come at its end.

    Where Keras runs several steps at once (`steps_per_execution`), it is their
    mean gradient. Where the optimizer accumulates gradients of batches, it is
    that of one batch, or of as many as `batches`. A gradient that is not
    finite, as loss scaling brings about, is skipped for the next step's.

    Args:
        data: None for the gradient of training, or data to take it on:
            `(x, y)` or `(x, y, sample_weight)`, arrays of which each update
            draws a batch; a `keras.utils.PyDataset`; or any iterable of
            batches, such as a `tf.data.Dataset`, which is read from its
            beginning. A model that has a `training_batch(x, y,
            sample_weight)`, as `AdversarialModel` does, is asked for the batch
            that it would train on.
        interval: Steps or epochs between updates, an int >= 1.
        batch_size: Rows drawn of `(x, y)`. Defaults to 128.
        batches: Batches, or steps of training, whose mean gradient an update
            looks at, an int >= 1; fewer where the epoch ends. Defaults to 1.
        loss: A Keras loss, or its name, for gradients on `data`. Defaults to
            the compiled one, with all that training adds to it.
        **options: As for `DropAndGrow`.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks, takes other inputs, or
            computes sparse, where training has no dense gradient: `data` must
            be given then.
        TypeError: If `data` are of another kind.

    Example:

    ```python
    class GrowWhereItHurts(keras_snn.ByGradient):
        def grow(self, update, mask, count):
            scores = np.abs(update.gradient)
            return update.pattern.grow_highest(scores, mask, count)


    update = GrowWhereItHurts(None, 100, unit="steps", drop_fraction=0.3)
    ```
    """

    kept = 1.0  # Share that the sum of gradients keeps from batch to batch.

    def __init__(
        self,
        data,
        interval,
        *,
        batch_size=128,
        batches=1,
        loss=None,
        **options,
    ):
        super().__init__(interval, **options)
        check_integer("batches", batches, 1, "or there is no gradient")
        check_integer("batch_size", batch_size, 1, "or there is no gradient")
        self.data = data
        if data is not None:
            self.data = Batches(data, batch_size, self.seed)
        self.batch_size = batch_size
        self.batches = batches
        self.loss = loss
        self.due.inside = data is None
        self._training = None

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._awaited, self._unfit, self._moved = None, 0, False
        model = self.model
        undo_next(model)
        if self.data is not None:
            self.data.check_fits(model)
        elif self._training is None or not self._training.serves(model):
            self._training = TrainingGradients(model)
        self._at_a_time = model.steps_per_execution

    def update_at(self, moment):
        if self.data is not None:
            self.move(moment)
        else:
            self._awaited, self._total, self._noted = moment, 0.0, 0

    def move(self, moment, gradients=None):
        """Changes the masks, as a subclass does at this moment.

        Args:
            moment: A `Moment`.
            gradients: Dict of path to array; None to take them on the data.
        """
        self.update(
            self.model, moment.step, moment.progress, gradients=gradients
        )

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch, logs)
        # What follows the last block of an epoch is validation.
        self._noting = self._awaited is not None and (
            batch == 0 or self._goes_on(batch)
        )
        if self._noting:
            kept = self.kept if self._total else 0.0
            self._training.note_next(self.model, kept)
            self._began = batch

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if not self._noting:
            return
        steps = batch - self._began + 1
        self._total = self.kept * self._total + steps
        self._noted += steps
        if self._noted < self.batches and self._goes_on(batch + 1):
            return
        gradients = self._training.read(self.model, self._total)
        if all(np.isfinite(each).all() for each in gradients.values()):
            moment, self._awaited = self._awaited, None
            self._moved = True
            self.move(moment, gradients)
        else:
            self._total, self._noted = 0.0, 0
            self._unfit += 1

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if self._unfit and not self._moved:
            warnings.warn(
                "Masks move by gradients that are finite, and none of this "
                "training was, so no mask has changed: look at the loss, and "
                "whether labels are in [0, classes). Received: "
                f"{self._unfit} gradients with NaN or infinity",
                stacklevel=2,
            )

    def _goes_on(self, batch):
        """Whether the block of this batch is followed by another."""
        steps = self.params["steps"]
        return steps is None or batch + self._at_a_time < steps

    def gradients(self, model, weights, step):
        """The gradient of the mean loss on the batches of this step, by path.

        Raises:
            ValueError: If there are no data.
        """
        if self.data is None:
            raise ValueError(
                "Only `fit` shows the gradient of training: in a loop of your "
                "own, pass `gradients` to `update`, or `data` to the method, "
                "or nothing tells where to grow. Received: data=None"
            )
        total, share = None, 0.0
        for x, y, sample_weight in self.data.at(step, self.batches):
            if hasattr(model, "training_batch"):
                x, y, sample_weight = model.training_batch(x, y, sample_weight)
            now = dense_gradients(
                model, weights, x, y, self.loss, sample_weight=sample_weight
            )
            if self.batches == 1:  # Some are made only when they are asked for.
                return now
            kept = {p: self.kept * total[p] if total else 0.0 for p in now}
            total = {
                path: kept[path] + gradient for path, gradient in now.items()
            }
            share = self.kept * share + 1.0
        return {path: each / share for path, each in total.items()}

    def get_config(self):
        """The arguments but for the data, which no config can hold."""
        return {
            **super().get_config(),
            "batch_size": self.batch_size,
            "batches": self.batches,
            "loss": keras.saving.serialize_keras_object(self.loss),
        }

    @classmethod
    def from_config(cls, config, data=None):
        """The callback of a config, with the data to take gradients on."""
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(data, **{**config, "loss": loss})
