"""LTH: the lottery ticket, a pruned network put back to its beginning.

"The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks",
https://arxiv.org/abs/1803.03635. Train the dense network, prune it by
magnitude, put what is left back to its initial values, train it once more.

Differs from the paper: a global threshold by default, as in "Are Sparse Neural
Networks Better Hard Sample Learners?", https://arxiv.org/abs/2409.09196, which
runs one round; BatchNorm statistics, seeds and the optimizer are put back, too.
"""

import os

import keras
import numpy as np

from keras_snn.choosing.by_score import check_scope
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import set_masks
from keras_snn.masking.snapshot import check_fits
from keras_snn.masking.snapshot import load_snapshot
from keras_snn.masking.snapshot import restore
from keras_snn.masking.snapshot import save_snapshot
from keras_snn.masking.snapshot import snapshot


class LotteryTicket(keras.callbacks.Callback):
    """Remembers a model as it was at the beginning of training.

    Of several fits with the same ticket it remembers the first, so that rounds
    of pruning all go back to the same point. A training of another model needs
    a ticket of its own.

    Args:
        epoch: The epoch at whose beginning the model is remembered. Defaults
            to 0; later ones are late rewinding, "Stabilizing the Lottery
            Ticket Hypothesis", https://arxiv.org/abs/1903.01611.
        filepath: An `.npz` file to keep it in as well, so that a training that
            is resumed finds it again. Defaults to None, memory alone.

    Raises:
        ValueError: If `epoch` is negative.

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

    def __init__(self, *, epoch=0, filepath=None):
        super().__init__()
        if not isinstance(epoch, (int, np.integer)) or epoch < 0:
            raise ValueError(
                "Argument `epoch` must be an int >= 0, the epoch to rewind to. "
                f"Received: epoch={epoch!r}"
            )
        self.epoch = epoch
        self.filepath = filepath
        self._remembered = None

    def on_train_begin(self, logs=None):
        masked_weights(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch and self._remembered is None:
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

    def rewind(self, model, sparsity, *, scope="global", distribution=None):
        """Prunes the trained model, and puts it back to the beginning.

        Args:
            model: The model that was trained with this callback.
            sparsity: Fraction of zeros over all masked weights, in [0, 1).
            scope: `"global"`, `"layer"` or `"lamp"`, as for `prune_magnitude`.
            distribution: As for `prune_magnitude`.

        Returns:
            The masks, a dict of weight path to bool array.

        Raises:
            ValueError: If there is nothing remembered, the model is another,
                or the sparsity is out of range. Nothing has changed then.
        """
        check_scope(scope)
        beginning = self._beginning(model)
        weights = masked_weights(model)
        masks = masks_by_score(
            weights,
            magnitudes(weights),
            sparsity,
            scope=scope,
            distribution=distribution,
        )
        restore(model, beginning)
        set_masks(model, masks, requested=float(sparsity))
        return masks

    def get_config(self):
        """The arguments."""
        return {"epoch": self.epoch, "filepath": self.filepath}

    @classmethod
    def from_config(cls, config):
        """The callback of a config."""
        return cls(**config)

    def _beginning(self, model):
        remembered = self._remembered
        if remembered is None and self.filepath is not None:
            if os.path.exists(self.filepath):
                remembered = load_snapshot(self.filepath)
        if remembered is None:
            raise ValueError(
                "A ticket is rewound to an epoch that it has seen: fit the "
                "model with this callback first. Received: a ticket that has "
                f"not seen epoch {self.epoch}"
            )
        check_fits(model, remembered)
        return remembered
