"""A Dense layer that stores and computes only its nonzeros."""

import keras
from keras import ops

from keras_snn.arithmetic.masks import check_sparsity
from keras_snn.checks import check_integer
from keras_snn.compute.product import Geometry
from keras_snn.compute.sparse_layer import SparseLayer


@keras.saving.register_keras_serializable(package="keras_snn")
class SparseDense(SparseLayer):
    """As `keras.layers.Dense`, with a sparse kernel, faster from about .7 on.

    Args:
        units: Int >= 1, the size of the output.
        sparsity: Fraction of zeros in the kernel, in [0, 1). Defaults to 0.9.
        **options: As for `SparseLayer`: activation, use_bias, initializers,
            regularizers, nonzeros, and what all layers take; and `seed`, 0 by
            default, which draws where the nonzeros are: give each layer its
            own, or those of one shape begin with the same.

    Raises:
        ValueError: If `units` or `sparsity` is out of range, or when built, if
            no weight would be left, or more than 2**31 - 1.

    A model of such layers needs no `sparsify`, and its kernels are never dense,
    so that they may be larger than memory; `SETUpdate` and `RigLUpdate` train
    it so. An initializer has the variance for a dense kernel, which is too
    small where few weights of an output are left: give one whose variance is
    for as many as there are.

    Example:

    ```python
    model = keras.Sequential([
        keras.Input((784,)),
        keras_snn.SparseDense(4096, sparsity=0.99, activation="relu"),
        keras.layers.Dense(10),
    ])
    model.compile("adam", "mse")
    model.fit(x, y, epochs=20, callbacks=[keras_snn.SETUpdate(1)])
    ```
    """

    IS_PLAIN = True  # `call` does all: PyTorch may call it at once.

    def __init__(self, units, sparsity=0.9, **options):
        check_integer("units", units, 1, "the size of the output")
        super().__init__(check_sparsity(sparsity), **options)
        self.units = units

    def kernel_shape_for(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                "The last axis of the inputs must have a known size, or the "
                f"kernel has no shape. Received: inputs of shape {input_shape} "
                f"for {self.name!r}"
            )
        return int(input_shape[-1]), self.units

    def geometry_for(self, input_shape):
        inputs, outputs = self.kernel_shape
        return Geometry((1, 1, inputs), (1, 1, outputs))

    def as_images(self, inputs):
        if len(inputs.shape) == 2:
            return inputs
        return ops.reshape(inputs, (-1, self.kernel_shape[0]))

    def as_outputs(self, outputs, inputs):
        if len(inputs.shape) == 2:
            return outputs
        batch = ops.shape(inputs)[:-1]
        return ops.reshape(outputs, (*batch, self.units))

    def dense_product(self, inputs, kernel):
        return ops.matmul(inputs, kernel)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {"units": self.units, **super().get_config()}
