"""The gradients that training takes, inactive weights included.

A masked layer runs with `where(mask, weight, 0)` in place of a weight. The
gradient by that value is dense, and training computes it in every step, only
to drop what is outside the mask: to look at it costs no second gradient. A
second train function does so, which stands in for the model's own in single
steps; all others run as ever, and are not compiled anew.

So it is the gradient of whatever the step minimises, on the very batch that it
trains on: attacked, weighted, with all that a `train_step` of your own does.
"""

import contextlib

import numpy as np
from keras import ops

from keras_snn.backend import GradientTap
from keras_snn.backend import gradient
from keras_snn.masking import keras_private
from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.mask_state import masked_weights


def undo_next(model):
    """Puts the train function back where an exception came before its step.

    Args:
        model: A Keras model, of which a block of steps may be about to be
            noted.
    """
    own = getattr(model.train_function, "instead_of", None)
    if own is not None:
        model.train_function = own


class TrainingGradients:
    """Notes the gradients of chosen blocks of training steps.

    Memory beside the model is that of its masked weights once more.

    Args:
        model: The compiled model that `fit` trains, with masks.

    Raises:
        ValueError: If a weight has no mask, but only its nonzeros.
    """

    def __init__(self, model):
        self._model = model
        self._of_train_step = model.train_function
        self._weights = masked_weights(model)
        unmasked = [p for p, m in self._weights.items() if m.mask is None]
        if unmasked:
            raise ValueError(
                "Layers that store only nonzeros take no dense gradient in "
                "training: pass `data` to take one on. "
                f"Received: {unmasked}, stored so"
            )
        self._taps = {
            path: GradientTap(tuple(masked.weight.shape))
            for path, masked in self._weights.items()
        }
        self._function = keras_private.train_function(
            model, self._tapped(model.train_step)
        )

    def serves(self, model):
        """Whether it notes those of this model, as it is compiled now."""
        return (
            model is self._model and model.train_function is self._of_train_step
        )

    def note_next(self, model, keep=0.0):
        """Has the next block of steps noted.

        Args:
            model: The model as `Callback.model` gives it: up to date, on JAX.
            keep: Share that what was noted before keeps; 0 to begin anew.
        """
        for tap in self._taps.values():
            tap.start(keep)
        own = model.train_function
        optimizer = getattr(model, "optimizer", None)
        self._scale = 1.0
        if optimizer is not None:  # Loss scaling, in mixed precision.
            self._scale = float(ops.convert_to_numpy(optimizer.scale_loss(1.0)))

        def once(*args):
            model.train_function = own
            return self._function(*args)

        once.instead_of = own
        model.train_function = once

    def read(self, model, steps):
        """The mean of what was noted, by path.

        Args:
            model: As for `note_next`.
            steps: How many steps were noted, an int >= 1.

        Returns:
            A dict of path to NumPy array, of all masked weights.

        Raises:
            ValueError: If the steps took no gradient of any masked weight.
        """
        noted = {path: tap.read() for path, tap in self._taps.items()}
        if all(each is None for each in noted.values()):
            raise ValueError(
                "Growth by the gradient of training needs a `train_step` that "
                "takes one through the masked weights: pass `data` to take "
                f"gradients on. Received: {model.name!r}, in whose step "
                "none came"
            )
        return {
            path: _of_regularizer(masked.weight)
            + (
                0.0
                if noted[path] is None
                else noted[path] / steps / self._scale
            )
            for path, masked in self._weights.items()
        }

    def _tapped(self, train_step):
        taps = {
            id(masked.weight): self._taps[path]
            for path, masked in self._weights.items()
        }

        def tap(masked, value):
            return taps[id(masked.weight)](value)

        def step(*args):
            with weights_tapped(self._model, tap):
                return train_step(*args)

        return step


@contextlib.contextmanager
def weights_tapped(model, tap):
    """Leads the active values of all masked weights through `tap`, or none."""
    taps = [(layer, layer.tap) for layer in masked_layers(model)]
    for layer, _ in taps:
        layer.tap = tap
    try:
        yield
    finally:
        for layer, before in taps:
            layer.tap = before


def _of_regularizer(weight):
    """The gradient of a weight's penalty, which is of its stored value."""
    if weight.regularizer is None:
        return np.zeros(weight.shape, "float32")
    of_penalty = gradient(weight.regularizer, weight.value)
    return ops.convert_to_numpy(of_penalty)
