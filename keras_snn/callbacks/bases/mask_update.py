"""What all callbacks that change masks during `fit` share."""

import warnings

import keras

from keras_snn.masking import keras_private
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import method_state
from keras_snn.masking.mask_state import sparsity
from keras_snn.shown import call_of


class MaskUpdate(keras.callbacks.Callback):
    """Changes masks during `fit`; a subclass says when and how.

    What a method must remember over a resume is kept in `state`, a dict of
    names to arrays or numbers, which lives with the model: `BackupAndRestore`
    saves it with the weights. It is empty when the first epoch begins.

    When: by its clock, a `Due`, which is asked before every epoch and batch.
    How: in `update_at`. It reaches the model through `self.model` alone,
    writes nothing but when masks change, and adds the sparsity to each epoch's
    `logs`, for the callbacks after it: the progress bar, CSVLogger,
    TensorBoard.

    Args:
        due: A `Due` or `BySchedule`: when updates come.

    Example:

    ```python
    class Redraw(keras_snn.MaskUpdate):  # Other random masks every 2 epochs.
        def __init__(self, sparsity):
            super().__init__(keras_snn.Due(interval=2))
            self.sparsity = sparsity

        def update_at(self, moment):
            keras_snn.prune_random(
                self.model, self.sparsity, seed=moment.step
            )
    ```
    """

    ends_sparser = False  # Whether training ends sparser than it begins.

    def __init__(self, due):
        super().__init__()
        self.due = due

    __repr__ = call_of

    def update_at(self, moment):
        """Changes the masks of `self.model`.

        Args:
            moment: A `Moment`: the step, and how much of training is done.
        """
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        masked_weights(self.model)  # Raises where there are none.
        # All callbacks of a fit are given the same dict.
        driver = self.params.setdefault("mask_update", self)
        if driver is not self:
            raise ValueError(
                "One method drives the masks of a model, or each undoes what "
                "the other did: choose one for this fit. Received: callbacks "
                f"with both {type(driver).__name__} and {type(self).__name__}"
            )
        self.due.train_begins(self)

    @property
    def state(self):
        """What the method keeps from update to update, and over a resume."""
        return method_state(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 0:
            self.state.clear()
        moment = self.due.epoch_begins(epoch, self)
        if epoch == 0:
            for doubt in self.doubts():
                warnings.warn(doubt, stacklevel=2)
        self._update_if(moment)

    def on_train_batch_begin(self, batch, logs=None):
        self._update_if(self.due.batch_begins(batch))

    def on_train_batch_end(self, batch, logs=None):
        self._update_if(self.due.batch_ends(batch))

    def on_train_end(self, logs=None):
        self._update_if(self.due.train_ends())

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["sparsity"] = sparsity(self.model)

    def doubts(self):
        """What a user should be told of a training that begins, as warnings.

        Yields:
            Strings: a rule, what follows, and what was received.
        """
        yield from self.due.doubts(self.params["epochs"], self.params["steps"])
        if not self.ends_sparser:
            return
        for callback in filter(
            _looks_for_the_best, keras_private.callbacks_of_fit()
        ):
            yield (
                "A callback that looks for the best epoch finds a dense one "
                "where training ends sparse: let it look only once masks are "
                f"that sparse, by `OnceSparse({type(callback).__name__}(...), "
                f"sparsity)`. Received: a {type(callback).__name__} beside "
                f"{type(self).__name__}"
            )

    def _update_if(self, moment):
        if moment is not None:
            self.update_at(moment)

    def steps_per_epoch(self):
        """Batches an epoch; raises a `ValueError` if the data do not tell."""
        return steps_per_epoch(self)

    def check_reached(self, name, share):
        """Raises a `ValueError` if no epoch begins at `share` of training."""
        epochs = self.params["epochs"]
        if share * epochs > epochs - 1:
            raise ValueError(
                f"Argument `{name}` must be a share of training after which an "
                "epoch begins, or the final sparsity is never reached. "
                f"Received: {name}={share} and {epochs} epochs"
            )

    @classmethod
    def from_config(cls, config):
        """The callback of a config."""
        return cls(**config)


def steps_per_epoch(callback):
    """Batches an epoch of the training that a callback sees.

    Args:
        callback: A Keras callback.

    Raises:
        ValueError: If the data do not tell.
    """
    steps = callback.params["steps"]
    if steps is None:
        raise ValueError(
            "What happens in steps or in shares of training needs the steps "
            "of an epoch: pass `steps_per_epoch` to fit. "
            "Received: data of unknown length"
        )
    return steps


def _looks_for_the_best(callback):
    """Whether a callback stops at, or goes back to, what was best so far."""
    if isinstance(callback, keras.callbacks.EarlyStopping):
        return callback.start_from_epoch == 0
    return (
        isinstance(callback, keras.callbacks.ModelCheckpoint)
        and callback.save_best_only
    )
