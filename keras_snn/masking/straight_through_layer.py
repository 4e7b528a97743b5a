"""A masked layer whose inactive weights go on training.

The forward pass has 0 in place of an inactive weight, and the gradient passes
straight through to its stored value: "Estimating or Propagating Gradients
Through Stochastic Neurons for Conditional Computation",
https://arxiv.org/abs/1308.3432. So a checkpoint in mid-training is not sparse;
`strip` is, and the outputs are those of the masked weights at all times.
"""

import keras
from keras import ops

from keras_snn.masking.masked_layer import MaskedLayer


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
        weights: What to mask, as for `MaskedLayer`.

    Example:

    ```python
    model = keras_snn.sparsify(model, wrapper=StraightThroughLayer)
    ```
    """

    keeps_inactive = True

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
