"""What is known of each kind of layer: what to mask, how its kernels lie."""

import math

import keras

# The weights masked where the user names none; of a recurrent cell, of
# whatever kind, both kernels. Depthwise kernels are small, and embeddings are
# looked up row by row: they are masked when included.
DEFAULT_WEIGHTS = {
    keras.layers.Dense: "kernel",
    keras.layers.EinsumDense: "kernel",
    keras.layers.Conv1D: "kernel",
    keras.layers.Conv2D: "kernel",
    keras.layers.Conv3D: "kernel",
    keras.layers.Conv1DTranspose: "kernel",
    keras.layers.Conv2DTranspose: "kernel",
    keras.layers.Conv3DTranspose: "kernel",
    keras.layers.SeparableConv1D: "pointwise_kernel",
    keras.layers.SeparableConv2D: "pointwise_kernel",
}

# Their kernels are (..., out, in), where all others are (..., in, out).
TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
# Theirs are (..., channels, multiplier), and no output sums over channels.
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


def input_axes(layer, weight):
    """The axes over which each output sums, the input channels last.

    Args:
        layer: The Keras layer that owns the weight.
        weight: A weight of it, of rank 1 or more.

    Returns:
        A tuple of ints >= 0: `(0, 1, 2)` for a kernel of shape
        (rows, cols, in, out), `(0,)` for (in, out). Of a layer that Keras does
        not define, all axes but the last.
    """
    rank = len(weight.shape)
    depthwise = getattr(layer, "depthwise_kernel", None)
    if isinstance(layer, DEPTHWISE) or weight is depthwise:
        return tuple(range(rank - 2))
    if isinstance(layer, TRANSPOSED) and rank > 2:
        return (*range(rank - 2), rank - 1)
    return _summed_axes(layer, rank) or tuple(range(max(rank - 1, 1)))


def plain_shape(layer, weight):
    """A weight's shape, that of an EinsumDense kernel as if it were Dense's.

    Args:
        layer: The Keras layer that owns the weight.
        weight: A weight of it.

    Returns:
        A tuple of ints: `(in, out)` for a kernel of EinsumDense, of which
        attention is made, and the shape as it is for any other.
    """
    shape = tuple(weight.shape)
    inputs = math.prod(shape[axis] for axis in _summed_axes(layer, len(shape)))
    return shape if inputs == 1 else (inputs, math.prod(shape) // inputs)


def _summed_axes(layer, rank):
    """The axes that the equation of an EinsumDense sums over; else none."""
    if not isinstance(layer, keras.layers.EinsumDense):
        return ()
    operands, _, outputs = layer.equation.partition("->")
    letters = operands.rpartition(",")[2].strip()
    if len(letters) != rank:  # That of a bias, or of an adapter.
        return ()
    return tuple(a for a, letter in enumerate(letters) if letter not in outputs)
