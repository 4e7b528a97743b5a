"""What the nonzeros of a kernel that is never held start from."""

import math

import keras
from keras import ops

# The standard deviation of a normal distribution cut off at two of its own.
TRUNCATED = 0.87962566103423978


class NonzeroInitializer(keras.initializers.Initializer):
    """Draws as many values as asked for, as if for a whole kernel.

    Args:
        initializer: A Keras initializer. Of those that scale their variance by
            the kernel's shape, it is that of the dense kernel.
        kernel_shape: The shape of that kernel, (..., in, out).
    """

    def __init__(self, initializer, kernel_shape):
        self.initializer = initializer
        self.kernel_shape = tuple(kernel_shape)

    def __call__(self, shape, dtype=None):
        initializer = self.initializer
        if isinstance(initializer, keras.initializers.VarianceScaling):
            initializer = self._scaled(initializer)
        values = initializer(shape, dtype=dtype)
        if tuple(values.shape) != tuple(shape):
            raise ValueError(
                "An initializer must draw each weight by itself, since only "
                f"the nonzeros are stored. Received: {self.initializer!r}"
            )
        return ops.cast(values, dtype)

    def _scaled(self, initializer):
        receptive = math.prod(self.kernel_shape[:-2])
        fan_in, fan_out = (receptive * size for size in self.kernel_shape[-2:])
        fan = {
            "fan_in": fan_in,
            "fan_out": fan_out,
            "fan_avg": (fan_in + fan_out) / 2,
        }[initializer.mode]
        variance, seed = initializer.scale / max(1.0, fan), initializer.seed
        if initializer.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return keras.initializers.RandomUniform(-limit, limit, seed=seed)
        if initializer.distribution == "untruncated_normal":
            deviation = math.sqrt(variance)
            return keras.initializers.RandomNormal(0.0, deviation, seed=seed)
        deviation = math.sqrt(variance) / TRUNCATED
        return keras.initializers.TruncatedNormal(0.0, deviation, seed=seed)
