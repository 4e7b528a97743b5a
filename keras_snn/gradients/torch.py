"""Gradients on PyTorch, which runs eagerly."""

import torch
from keras import ops
from keras import tree


def gradient(function, tensors):
    """Differentiate a scalar function, whatever the gradient mode around it.

    Args:
        function: takes `tensors`, returns a scalar tensor; must alter nothing,
            as inside a `keras.StatelessScope`.
        tensors: float tensors: one, or a list of them.

    Returns:
        The gradients, structured as `tensors`; zeros where `function` does
        not depend on a tensor. No tensor's `grad` is touched.
    """

    def leaf(tensor):
        return ops.convert_to_tensor(tensor).detach().requires_grad_()

    tensors = tree.map_structure(leaf, tensors)
    with torch.enable_grad():
        value = function(tensors)
    if not value.requires_grad:
        return tree.map_structure(torch.zeros_like, tensors)
    gradients = torch.autograd.grad(
        value, tree.flatten(tensors), materialize_grads=True
    )
    return tree.pack_sequence_as(tensors, gradients)


def jit(function):
    """Return the function: PyTorch code is not compiled."""
    return function


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
