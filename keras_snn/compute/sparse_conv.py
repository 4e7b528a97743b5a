"""A Conv2D layer that stores and computes only its nonzeros."""

import keras
from keras import ops

from keras_snn.arithmetic.masks import check_sparsity
from keras_snn.checks import check_integer
from keras_snn.compute.product import Geometry
from keras_snn.compute.sparse_layer import SparseLayer


@keras.saving.register_keras_serializable(package="keras_snn")
class SparseConv2D(SparseLayer):
    """As `keras.layers.Conv2D`, with a sparse kernel, faster from about .7 on.

    Channels last, without groups or dilation.

    Args:
        filters: Int >= 1, the channels of the output.
        kernel_size: Int >= 1, or two: rows and columns.
        sparsity: Fraction of zeros in the kernel, in [0, 1). Defaults to 0.9.
        strides: Int >= 1, or two. Defaults to 1.
        padding: `"valid"` (default) or `"same"`.
        **options: As for `SparseLayer`: activation, use_bias, initializers,
            regularizers, nonzeros, and what all layers take; and `seed`, 0 by
            default, which draws where the nonzeros are: give each layer its
            own, or those of one shape begin with the same.

    Raises:
        ValueError: If an argument is out of range, or when built, if no weight
            would be left, or more than 2**31 - 1.

    Example:

    ```python
    keras_snn.SparseConv2D(128, 3, sparsity=0.9, padding="same", use_bias=False)
    ```
    """

    IS_PLAIN = True  # `call` does all: PyTorch may call it at once.

    def __init__(
        self,
        filters,
        kernel_size,
        sparsity=0.9,
        *,
        strides=1,
        padding="valid",
        **options,
    ):
        check_integer("filters", filters, 1, "the channels of the output")
        if padding not in ("valid", "same"):
            raise ValueError(
                "Argument `padding` must be 'valid' or 'same', which tell how "
                f"large the output is. Received: {padding=!r}"
            )
        super().__init__(check_sparsity(sparsity), **options)
        self.filters = filters
        self.kernel_size = _pair("kernel_size", kernel_size)
        self.strides = _pair("strides", strides)
        self.padding = padding
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def kernel_shape_for(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                "The channels of the inputs must be known, or the kernel has "
                f"no shape. Received: inputs of shape {input_shape} for "
                f"{self.name!r}"
            )
        return (*self.kernel_size, int(input_shape[-1]), self.filters)

    def geometry_for(self, input_shape):
        size = tuple(input_shape[1:3])
        if None in size:
            raise ValueError(
                "A sparse convolution plans for images of one size, so it must "
                f"be known. Received: inputs of shape {tuple(input_shape)} for "
                f"{self.name!r}"
            )
        rows = self.compute_output_shape(input_shape)[1:3]
        padding = (0, 0)
        if self.padding == "same":  # As TensorFlow's: odd ones go behind.
            padding = tuple(
                max((out - 1) * stride + kernel - inside, 0) // 2
                for out, stride, kernel, inside in zip(
                    rows, self.strides, self.kernel_size, size, strict=True
                )
            )
        return Geometry(
            (*size, self.kernel_shape[2]),
            (*rows, self.filters),
            self.kernel_size,
            self.strides,
            padding,
        )

    def dense_product(self, inputs, kernel):
        return ops.conv(
            inputs, kernel, self.strides, self.padding, "channels_last"
        )

    def compute_output_shape(self, input_shape):
        sizes = []
        for size, kernel, stride in zip(
            input_shape[1:3], self.kernel_size, self.strides, strict=True
        ):
            if size is not None:
                size -= kernel - 1 if self.padding == "valid" else 0
                size = -(-size // stride)
                if size < 1:
                    raise ValueError(
                        "Images must be at least as large as the kernel, or "
                        "there is no output. Received: inputs of shape "
                        f"{input_shape} and {self.kernel_size=}"
                    )
            sizes.append(size)
        return (input_shape[0], *sizes, self.filters)

    def get_config(self):
        return {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            **super().get_config(),
        }


def _pair(name, value):
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2:
        raise ValueError(
            f"Argument `{name}` must be an int or two, for rows and columns. "
            f"Received: {name}={value!r}"
        )
    for each in pair:
        check_integer(name, each, 1, "of rows and of columns")
    return pair
