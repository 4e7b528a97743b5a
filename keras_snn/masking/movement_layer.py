"""A masked layer that learns which of its weights to keep.

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
        weights: What to mask, likewise.

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
