"""Masked layers whose inactive weights go on training.

The forward pass has 0 in place of an inactive weight, and the gradient passes
straight through to its stored value: "Estimating or Propagating Gradients
Through Stochastic Neurons for Conditional Computation",
https://arxiv.org/abs/1308.3432. So a checkpoint in mid-training is not sparse;
`strip` is, and the outputs are those of the masked weights at all times.
"""

import keras
from keras import ops

from keras_snn.mask_state import masked_layers
from keras_snn.masked_layer import MaskedLayer


@keras.saving.register_keras_serializable(package="keras_snn")
class StraightThroughLayer(MaskedLayer):
    """A `MaskedLayer` in which gradients reach inactive weights, too.

    Those of the backward masks, to be exact: all, unless a method such as
    `TopKASTUpdate` chooses them. A penalty may draw weights to 0; it shows in
    the loss, as those of Keras's regularisers do:

        active_decay / 2 * |active|^2 + inactive_decay / 2 * |inactive|^2

    where inactive weights are those of the backward mask alone. Both factors
    are weights of the layer, 0 at first, which a method sets.

    Args:
        layer: A Keras layer or model, as for `MaskedLayer`.
        weights: What to mask, likewise.

    Example:

    ```python
    model = keras_snn.sparsify(model, wrapper=StraightThroughLayer)
    ```
    """

    def build(self, input_shape=None):
        super().build(input_shape)
        self.active_decay, self.inactive_decay = (
            self.add_weight(
                name=name, shape=(), initializer="zeros", trainable=False
            )
            for name in ("active_decay", "inactive_decay")
        )
        self.built = True

    def _companion(self, owner):
        return self._beside(
            owner, "backward_mask", dtype="bool", initializer="ones"
        )

    def active_value(self, masked, value):
        active = super().active_value(masked, value)
        backward = masked.companion.value
        trained = ops.where(backward, value, ops.zeros_like(value))
        return trained + ops.stop_gradient(active - trained)

    def call(self, inputs, *args, training=None, **kwargs):
        outputs = super().call(inputs, *args, training=training, **kwargs)
        self.add_loss(self._penalty())
        return outputs

    def _penalty(self):
        penalty = 0.0
        for masked in self.masked_weights:
            square = ops.square(ops.cast(masked.weight.value, "float32"))
            decay = ops.where(
                masked.mask.value,
                self.active_decay.value,
                self.inactive_decay.value,
            )
            trained = ops.cast(masked.companion.value, "float32")
            penalty += ops.sum(decay * trained * square) / 2
        return penalty


@keras.saving.register_keras_serializable(package="keras_snn")
class MovementLayer(MaskedLayer):
    """A `MaskedLayer` that learns a score for each weight, active or not.

    The score's gradient is that of the masked weight times the weight, so it
    falls for weights that move towards 0 and rises for those that move away:
    "Movement Pruning: Adaptive Sparsity by Fine-Tuning",
    https://arxiv.org/abs/2005.07683. Inactive weights keep their value and get
    no gradient. The optimizer of the model trains the scores.

    Args:
        layer: A Keras layer or model, as for `MaskedLayer`.
        weights: What to mask, likewise.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0, wrapper=MovementLayer)
    ```
    """

    def _companion(self, owner):
        return self._beside(owner, "score", trainable=True, initializer="zeros")

    def active_value(self, masked, value):
        active = super().active_value(masked, value)
        score = ops.cast(masked.companion.value, value.dtype)
        gradient = (score - ops.stop_gradient(score)) * ops.stop_gradient(value)
        return active + gradient


def wrapped_by(model, kind):
    """The masked layers of a model, all of one kind.

    Raises:
        ValueError: If one is of another kind.
    """
    layers = masked_layers(model)
    if not layers or not all(isinstance(layer, kind) for layer in layers):
        raise ValueError(
            "This method trains weights outside the masks, so the model needs "
            f"another wrapper: sparsify(model, ..., wrapper={kind.__name__}). "
            f"Received: {model.name!r}, wrapped by "
            f"{sorted({type(layer).__name__ for layer in layers})}"
        )
    return layers
