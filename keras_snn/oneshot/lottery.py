"""LTH: the lottery ticket, a pruned network put back to its beginning.

"The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks",
https://arxiv.org/abs/1803.03635. Train the dense network, prune it by
magnitude, put what is left back to its initial values, train it once more.

Differs from the paper: one round with a global threshold, as "Are Sparse
Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196, runs it; BatchNorm statistics, seeds and the
optimizer are put back, too.
"""

import os
import tempfile

import keras
import numpy as np
from keras import ops

from keras_snn.mask_state import masked_weights
from keras_snn.mask_state import set_masks
from keras_snn.oneshot.scores import check_scope
from keras_snn.oneshot.scores import magnitudes
from keras_snn.oneshot.scores import masks_by_score


class LotteryTicket(keras.callbacks.Callback):
    """Remembers a model as it was at the beginning of training.

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
        if epoch == self.epoch:
            self._remembered = [
                ops.convert_to_numpy(v.value).copy() for v in _state(self.model)
            ]
            if self.filepath is not None:
                _save(self.filepath, self._remembered)

    def rewind(self, model, sparsity, *, scope="global", distribution=None):
        """Prunes the trained model, and puts it back to the beginning.

        Args:
            model: The model that was trained with this callback.
            sparsity: Fraction of zeros over all masked weights, in [0, 1).
            scope: `"global"` or `"layer"`, as for `prune_magnitude`.
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
        for variable, value in zip(_state(model), beginning, strict=False):
            variable.assign(value)
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
        if (
            remembered is None
            and self.filepath
            and os.path.exists(self.filepath)
        ):
            with np.load(self.filepath, allow_pickle=False) as file:
                remembered = [file[str(i)] for i in range(len(file.files))]
        if remembered is None:
            raise ValueError(
                "A ticket is rewound to an epoch that it has seen: fit the "
                "model with this callback first. Received: a ticket that has "
                f"not seen epoch {self.epoch}"
            )
        shapes = [v.shape for v in remembered]
        own = [tuple(v.shape) for v in _model_state(model)]
        if shapes[: len(own)] != own:
            raise ValueError(
                "A ticket belongs to the model that it has seen. Received: "
                f"{model.name!r}, whose weights have other shapes"
            )
        if shapes != [tuple(v.shape) for v in _state(model)]:
            remembered = remembered[: len(own)]  # Compiled anew since.
        return remembered


def _model_state(model):
    return model.trainable_variables + model.non_trainable_variables


def _state(model):
    optimizer = getattr(model, "optimizer", None)
    return _model_state(model) + list(getattr(optimizer, "variables", []))


def _save(path, arrays):
    folder = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(suffix=".npz", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **{str(i): a for i, a in enumerate(arrays)})
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
