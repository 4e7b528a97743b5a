"""A masked layer that learns which weights matter, weights staying as they are.

"HYDRA: Pruning Adversarially Robust Neural Networks",
https://arxiv.org/abs/2002.10509.
"""

import math

import keras
from keras import ops

from keras_snn.masking.masked_layer import MaskedLayer


@keras.saving.register_keras_serializable(package="keras_snn")
class HYDRALayer(MaskedLayer):
    """A `MaskedLayer` that learns a score for each weight, and no weight.

    The score's gradient is that of the masked weight times the weight, straight
    through the choice of the highest magnitudes of scores. Scores start in
    proportion to the weights as they are when the layer is wrapped, with the
    bound of a He uniform initialiser:

        score = sqrt(6 / fan_in) * weight / max |weight|

    Masked weights and the biases beside them are frozen until `strip`; all
    else that trains, such as BatchNorm's scales, goes on training.

    Args:
        layer: A trained Keras layer or model, as for `MaskedLayer`.
        weights: What to mask, as for `MaskedLayer`.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0, wrapper=HYDRALayer)
    ```
    """

    keeps_inactive = True

    def build(self, input_shape=None):
        super().build(input_shape)
        for variable, _ in self._frozen():
            variable.trainable = False

    def release(self):
        for variable, owner in self._frozen():
            variable.trainable = owner.trainable

    def _frozen(self):
        """Pairs of a variable and the layer that it is in."""
        for masked in self._masked:
            layer = masked.owner.layer
            yield masked.weight, layer
            bias = getattr(layer, "bias", None)
            if hasattr(bias, "value"):
                yield bias, layer

    def _companion(self, owner):
        def scaled(shape, dtype=None):
            weight = ops.cast(owner.weight.value, dtype)
            fan_in = math.prod(shape[axis] for axis in owner.input_axes)
            largest = ops.max(ops.abs(weight))
            largest = ops.maximum(largest, keras.config.epsilon())
            return math.sqrt(6 / fan_in) * weight / largest

        return self._beside(owner, "score", trainable=True, initializer=scaled)

    def active_value(self, masked, value):
        active = super().active_value(masked, value)
        score = ops.abs(ops.cast(masked.companion.value, value.dtype))
        return active + (score - ops.stop_gradient(score)) * value
