"""LTH: the lottery ticket, a pruned network put back to its beginning.

"The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks",
https://arxiv.org/abs/1803.03635. Train the dense network, prune it by
magnitude, put what is left back to its initial values, train it once more.

Differs from the paper: a global threshold by default, as in the authors' later
code and in "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196, which runs one round; BatchNorm statistics,
seeds and the optimizer, momentum included, are put back as well.
"""

import os

import keras

from keras_snn import patterns
from keras_snn.callbacks.bases.due import Clock
from keras_snn.callbacks.bases.mask_update import steps_per_epoch
from keras_snn.checks import check_integer
from keras_snn.choosing.by_score import check_scope
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.set_masks import set_masks
from keras_snn.masking.snapshot import check_fits
from keras_snn.masking.snapshot import load_snapshot
from keras_snn.masking.snapshot import restore
from keras_snn.masking.snapshot import save_snapshot
from keras_snn.masking.snapshot import snapshot
from keras_snn.shown import call_of


class LotteryTicket(keras.callbacks.Callback):
    """Remembers a model as it was at the beginning of training.

    Of several fits with the same ticket it remembers the first, so that rounds
    of pruning all go back to the same point. A training of another model needs
    a ticket of its own.

    Args:
        epoch: The epoch at whose beginning the model is remembered. Defaults
            to 0; later ones are late rewinding, "Stabilizing the Lottery
            Ticket Hypothesis", https://arxiv.org/abs/1903.01611.
        step: How many steps later it is, through later epochs where there
            are fewer. Of several steps an execution, the first that begins
            one from there on. Defaults to 0.
        filepath: An `.npz` file to keep it in as well, so that a training that
            is resumed finds it again. Defaults to None, memory alone.

    Raises:
        ValueError: If `epoch` or `step` is negative.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile(...)
    ticket = LotteryTicket()
    model.fit(..., callbacks=[ticket])
    ticket.rewind(model, sparsity=0.9)
    model.fit(...)
    ```

    Ten rounds in which 20% of what is left goes, rewound to epoch 2:

    ```python
    ticket = LotteryTicket(epoch=2)
    model.fit(x, y, epochs=20, callbacks=[ticket])
    for sparsity in schedules.exponential(1 - 0.8**10, rounds=10):
        ticket.rewind(model, sparsity)
        model.fit(x, y, initial_epoch=2, epochs=20)
    ```
    """

    def __init__(self, *, epoch=0, step=0, filepath=None):
        super().__init__()
        check_integer("epoch", epoch, 0, "the epoch to rewind to")
        check_integer("step", step, 0, "the step to rewind to")
        self.epoch = epoch
        self.step = step
        self.filepath = filepath
        self._remembered = None

    __repr__ = call_of

    def on_train_begin(self, logs=None):
        masked_weights(self.model)
        self._clock = Clock()

    def on_epoch_begin(self, epoch, logs=None):
        if not self.step:
            if epoch == self.epoch:
                self._remember_once()
            return
        steps = steps_per_epoch(self)
        self._wanted = self.epoch * steps + self.step
        self._clock.epoch_begins(
            epoch * steps, steps, self.model.steps_per_execution
        )

    def on_train_batch_begin(self, batch, logs=None):
        if self.step and self._wanted in self._clock.batch_begins(batch):
            self._remember_once()

    def _remember_once(self):
        if self._remembered is None:
            self.remember(self.model)

    def remember(self, model):
        """Remembers a model as it is: what `fit` does, for a loop of your own.

        What was remembered before is forgotten.

        Args:
            model: A Keras model with masks.
        """
        masked_weights(model)
        self._remembered = snapshot(model)
        if self.filepath is not None:
            save_snapshot(self.filepath, self._remembered)

    def rewind(
        self,
        model,
        sparsity=None,
        *,
        scope="global",
        distribution=None,
        pattern=None,
        weights=True,
    ):
        """Prunes the trained model, and puts it back to the beginning.

        Args:
            model: The model that was trained with this callback.
            sparsity: Fraction of zeros over all masked weights, in [0, 1).
                May be left out where the pattern determines it.
            scope: `"global"`, `"layer"` or `"lamp"`, as for `prune_magnitude`.
            distribution: As for `prune_magnitude`.
            pattern: As for `prune_magnitude`.
            weights: Whether everything goes back, or the learning rate alone:
                learning-rate rewinding, "Comparing Rewinding and Fine-tuning
                in Neural Network Pruning", https://arxiv.org/abs/2003.02389.
                Weights stay as they were trained, and momentum, and the
                optimizer counts its steps from the beginning, as in the
                authors' code.

        Returns:
            The masks, a dict of weight path to bool array.

        Raises:
            ValueError: If there is nothing remembered, or its file is damaged,
                the model is another, the sparsity is out of range or a weight
                cannot have the pattern. Nothing has changed then.
        """
        check_scope(scope)
        beginning = self._beginning(model)
        masked = masked_weights(model)
        masks = masks_by_score(
            masked,
            magnitudes(masked),
            sparsity,
            scope=scope,
            distribution=distribution,
            pattern=pattern,
        )
        restore(model, beginning, weights=weights)
        requested = patterns.get(pattern).sparsity(sparsity)
        set_masks(model, masks, requested=requested)
        return masks

    def get_config(self):
        """The arguments."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "filepath": self.filepath,
        }

    @classmethod
    def from_config(cls, config):
        """The callback of a config."""
        return cls(**config)

    def _beginning(self, model):
        remembered = self._remembered
        if remembered is None and self.filepath is not None:
            if os.path.exists(self.filepath):
                remembered = load_snapshot(self.filepath).arrays
        if remembered is None:
            raise ValueError(
                "A ticket is rewound to a point that it remembers: fit the "
                "model with this callback first. Received: a ticket that has "
                f"not seen epoch {self.epoch}, step {self.step}"
            )
        check_fits(model, remembered)
        return remembered
