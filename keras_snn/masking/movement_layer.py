"""Masked layers that learn which of their weights to keep.

"Movement Pruning: Adaptive Sparsity by Fine-Tuning",
https://arxiv.org/abs/2005.07683.
"""

import keras
from keras import ops

from keras_snn.masking.masked_layer import MaskedLayer


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
        weights: What to mask, as for `MaskedLayer`.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0, wrapper=MovementLayer)
    ```
    """

    keeps_inactive = True

    def _companion(self, owner):
        return self._beside(owner, "score", trainable=True, initializer="zeros")

    def active_value(self, masked, value):
        active = super().active_value(masked, value)
        score = ops.cast(masked.companion.value, value.dtype)
        gradient = (score - ops.stop_gradient(score)) * ops.stop_gradient(value)
        return active + gradient


@keras.saving.register_keras_serializable(package="keras_snn")
class SoftMovementLayer(MovementLayer):
    """A `MovementLayer` that is penalised for high scores.

    The penalty shows in the loss, as those of Keras's regularisers do:

        score_decay * mean over its weights of mean(sigmoid(score))

    The factor is a weight of the layer, 0 at first, which `SoftMovementUpdate`
    sets.

    Args:
        layer: A Keras layer or model, as for `MaskedLayer`.
        weights: What to mask, as for `MaskedLayer`.

    Example:

    ```python
    model = keras_snn.sparsify(model, 0.0, wrapper=SoftMovementLayer)
    ```
    """

    def build(self, input_shape=None):
        super().build(input_shape)
        self.score_decay = self.add_weight(
            name="score_decay", shape=(), initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, *args, training=None, **kwargs):
        outputs = super().call(inputs, *args, training=training, **kwargs)
        means = [
            ops.mean(ops.sigmoid(ops.cast(m.companion.value, "float32")))
            for m in self.masked_weights
        ]
        factor = ops.cast(self.score_decay.value, "float32")
        self.add_loss(factor * sum(means) / len(means))
        return outputs
