"""What all callbacks that change masks during `fit` share."""

import keras

from keras_snn.mask_state import masked_weights
from keras_snn.mask_state import sparsity


class MaskUpdate(keras.callbacks.Callback):
    """Changes masks during `fit`; a subclass says when and how.

    It reaches the model through `self.model` alone, writes nothing but when
    masks change, and adds the sparsity to each epoch's `logs`, for the
    callbacks behind it: the progress bar, CSVLogger, TensorBoard.
    """

    def on_train_begin(self, logs=None):
        masked_weights(self.model)  # Raises where there are none.

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["sparsity"] = sparsity(self.model)

    @classmethod
    def from_config(cls, config):
        """The callback of a config."""
        return cls(**config)
