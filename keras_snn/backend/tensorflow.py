"""Gradients and compilation on TensorFlow."""

import tensorflow as tf
from keras import ops
from keras import tree


def gradient(function, tensors):
    """Differentiate a scalar function, eagerly or in a compiled step.

    Args:
        function: takes `tensors`, returns a scalar tensor; must alter nothing,
            as inside a `keras.StatelessScope`.
        tensors: float tensors: one, or a list of them.

    Returns:
        The gradients, structured as `tensors`; zeros where `function` does
        not depend on a tensor.
    """
    tensors = tree.map_structure(ops.convert_to_tensor, tensors)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(tensors)
        value = function(tensors)
    gradients = tape.gradient(
        value, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return tree.map_structure(tf.convert_to_tensor, gradients)


def hessian_vector_product(function, tensors, vectors):
    """Differentiate the gradient of a scalar function along vectors.

    Args:
        function: as for `gradient`, twice differentiable.
        tensors: a list of float tensors.
        vectors: a list of tensors of the same shapes.

    Returns:
        The Hessian times the vectors, a list; zeros where the gradient does
        not depend on a tensor.
    """
    # A vector may be one of the tensors: it stays as it is.
    vectors = [tf.stop_gradient(vector) for vector in vectors]

    def slope(tensors):
        gradients = gradient(function, tensors)
        pairs = zip(gradients, vectors, strict=True)
        return tf.add_n([tf.reduce_sum(g * v) for g, v in pairs])

    return gradient(slope, tensors)


def jit(function):
    """Compile a function of tensors; variables' values must be arguments."""
    return tf.function(function, reduce_retracing=True, autograph=False)


def map_batch(function, model, data):
    """Apply a function to the data that Keras hands to a `train_step`.

    Args:
        function: takes and returns the data `(x, y[, sample_weight])`; may
            read and assign the variables of `model`.
        model: the model whose step it is.
        data: all that `train_step` was given.

    Returns:
        All that `super().train_step` must be given.
    """
    return (function(data),)


def assign_after(function, model, result):
    """Run a function that assigns variables, behind a `train_step`.

    Args:
        function: takes nothing; may read and assign the variables of `model`.
        model: the model whose step it was.
        result: what `super().train_step` returned.

    Returns:
        What the `train_step` must return.
    """
    function()
    return result
