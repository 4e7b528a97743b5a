"""What methods that look at gradients share: data, and how to take them."""

import keras

from keras_snn.callbacks.bases.batches import Batches
from keras_snn.callbacks.bases.drop_and_grow import DropAndGrow
from keras_snn.gradients import dense_gradients


class ByGradient(DropAndGrow):
    """Drops and grows, looking at the gradient of every masked weight.

    Keras shows callbacks no batch, so the data come as an argument.

    Args:
        data: Training data to take gradients on: `(x, y)`, arrays of which
            each update draws a batch; a `keras.utils.PyDataset`; or any
            iterable of batches, such as a `tf.data.Dataset`, which is read
            from its beginning. What `fit` is given is usually right.
        interval: Steps or epochs between updates, an int >= 1.
        batch_size: Rows drawn of `(x, y)`. Defaults to 128.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        **options: As for `DropAndGrow`.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs.
        TypeError: If `data` are of another kind.
    """

    def __init__(self, data, interval, *, batch_size=128, loss=None, **options):
        super().__init__(interval, **options)
        self.batches = Batches(data, batch_size, self.seed)
        self.loss = loss

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.batches.check_fits(self.model)

    def gradients(self, model, weights, step):
        """The gradient of the mean loss on the batch of this step, by path."""
        ((x, y),) = self.batches.at(step)
        return dense_gradients(model, weights, x, y, self.loss)

    def get_config(self):
        """The arguments but for the data, which no config can hold."""
        return {
            **super().get_config(),
            "batch_size": self.batches.batch_size,
            "loss": keras.saving.serialize_keras_object(self.loss),
        }

    @classmethod
    def from_config(cls, config, data=None):
        """The callback of a config, with the data to take gradients on."""
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(data, **{**config, "loss": loss})
