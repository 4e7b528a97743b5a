"""Keras callbacks that look for the best epoch, of those that are sparse."""

import warnings

import keras

from keras_snn.arithmetic import masks
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import sparsity as sparsity_of
from keras_snn.masking.mask_state import total_size


class OnceSparse(keras.callbacks.Callback):
    """Lets another callback see only epochs in which the model is sparse.

    Where sparsity grows in training, the best epoch is often a dense one: an
    `EarlyStopping` would stop there, or bring its weights back with its masks,
    and a `ModelCheckpoint` would keep them.

    The ends of epochs and batches are passed on from the epoch on at whose end
    the model is as sparse as asked for, to within one weight, all else always.
    What is not that sparse at the end of training is a warning.

    Args:
        callback: A Keras callback, such as `EarlyStopping`.
        sparsity: Fraction of zeros over all masked weights, in [0, 1): that of
            the end of training.

    Raises:
        TypeError: If `callback` is not a Keras callback.
        ValueError: If the sparsity is out of range or, when training begins,
            the model has no masks.

    Example:

    ```python
    best = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=5, restore_best_weights=True
    )
    update = GMPUpdate(DuringTraining(0.9))
    model.fit(x, y, epochs=20, callbacks=[update, OnceSparse(best, 0.9)])
    ```
    """

    def __init__(self, callback, sparsity):
        super().__init__()
        if not isinstance(callback, keras.callbacks.Callback):
            raise TypeError(
                "Argument `callback` must be a Keras callback, which sees the "
                f"epochs that are sparse. Received: {callback=!r}"
            )
        self.callback = callback
        self.sparsity = masks.check_sparsity(sparsity)

    def __repr__(self):
        return f"OnceSparse({self.callback!r}, sparsity={self.sparsity!r})"

    def set_model(self, model):
        super().set_model(model)
        self.callback.set_model(model)

    def set_params(self, params):
        super().set_params(params)
        self.callback.set_params(params)

    def on_train_begin(self, logs=None):
        self._is_sparse, self._ever = self._measured(), False
        self.callback.on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        self.callback.on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        self.callback.on_train_batch_begin(batch, logs)

    def on_test_begin(self, logs=None):
        self.callback.on_test_begin(logs)

    def on_test_end(self, logs=None):
        self.callback.on_test_end(logs)

    def on_test_batch_begin(self, batch, logs=None):
        self.callback.on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch, logs=None):
        self.callback.on_test_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._is_sparse = self._measured()
        self._ever |= self._is_sparse
        if self._is_sparse:
            self.callback.on_epoch_end(epoch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if self._is_sparse:
            self.callback.on_train_batch_end(batch, logs)

    def on_train_end(self, logs=None):
        self.callback.on_train_end(logs)
        if not self._ever:
            warnings.warn(
                "No epoch of this training ended as sparse as asked for, so "
                f"the {type(self.callback).__name__} saw none. Received: "
                f"sparsity={self.sparsity}, and a model of sparsity "
                f"{sparsity_of(self.model):.6g}",
                stacklevel=2,
            )

    def _measured(self):
        size = total_size(masked_weights(self.model))
        active = round((1 - sparsity_of(self.model)) * size)
        return active <= masks.active_count(size, self.sparsity) + 1
