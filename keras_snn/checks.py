"""Checks of arguments that several rooms make, before anything runs."""

import numbers

import keras
import numpy as np
from keras import ops


def check_built(model):
    """Refuse what is not a model, or has no weights yet."""
    if not isinstance(model, keras.Model):
        raise ValueError(
            "Argument `model` must be a Keras model, whose weights are looked "
            f"at. Received: model={model!r}"
        )
    if not model.built:
        raise ValueError(
            "Argument `model` must be built, or it has no weights yet: give "
            "it an `Input`, or call it on a batch first. Received: the unbuilt "
            f"model {model.name}"
        )


def check_images(x):
    """Return the images as an array, if they are floats in [0, 1]."""
    x = ops.convert_to_numpy(x) if ops.is_tensor(x) else np.asarray(x)
    if x.dtype.kind in "OSU":
        raise ValueError(
            "Argument `x` must be an array of images. "
            f"Received: a {type(x).__name__} of dtype {x.dtype}"
        )
    check_float(x)
    if x.ndim < 2 or x.size == 0:
        raise ValueError(
            "Argument `x` must be a batch of at least one image, of shape "
            f"(n, ...). Received: x.shape={x.shape}"
        )
    # Not `min() < 0 or ...`: of NaN, too, no comparison holds.
    if not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            "Argument `x` must be in [0, 1], or clipping to that range would "
            "change the images: normalise in a layer of the model. "
            f"Received: x from {x.min()} to {x.max()}"
        )
    return x


def check_float(x):
    """Refuse images of whole numbers."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "Argument `x` must hold floats in [0, 1], or a small change means "
            f"nothing: divide 8-bit images by 255. Received: x.dtype={dtype}"
        )


def check_labels(y, x, model):
    """Return the labels as an array, if they fit the images and the model.

    The array is of shape (n,) or (n, classes), as they came.
    """
    y = ops.convert_to_numpy(y) if ops.is_tensor(y) else np.asarray(y)
    outputs = model.compute_output_spec(keras.KerasTensor((None, *x.shape[1:])))
    shape = getattr(outputs, "shape", None)
    if shape is None or len(shape) != 2:
        raise ValueError(
            "Argument `model` must have one output, of shape (n, classes). "
            f"Received: outputs {outputs}"
        )
    classes = shape[-1]
    if y.dtype.kind in "OSU":
        raise ValueError(
            "Argument `y` must hold numbers, each image's class or those of "
            f"all classes. Received: y.dtype={y.dtype}"
        )
    if y.shape == (len(x), classes):
        valid, rule = (y >= 0) & (y <= 1), "probabilities of the classes"
    elif y.shape in {(len(x),), (len(x), 1)}:
        y = y.reshape(-1)
        valid = (y >= 0) & (y < classes) & (y == np.floor(y))
        rule = f"whole numbers in [0, {classes})"
    else:
        raise ValueError(
            "Argument `y` must give each image its class: as an integer, of "
            f"shape ({len(x)},), or one-hot, of shape ({len(x)}, {classes}). "
            f"Received: y.shape={y.shape}"
        )
    if not valid.all():
        raise ValueError(
            f"Argument `y`, of shape {y.shape}, must hold {rule}, or the loss "
            f"is not defined. Received: {y[~valid].flat[0]} among them"
        )
    return y


def check_integer(name, value, low, why):
    """Returns `value`, if it is an int >= `low`; True and False do not count.

    Args:
        name: The argument's name, for the error.
        value: What was given.
        low: The least that is allowed; None for no bound.
        why: What it is for, or what would follow, for the error.

    Raises:
        ValueError: If it is not an int, or too low.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or (low is not None and value < low):
        bound = "" if low is None else f" >= {low}"
        raise ValueError(
            f"Argument `{name}` must be an int{bound}, {why}. "
            f"Received: {name}={value!r}"
        )
    return value


def check_number(name, value, why):
    """Returns `value`, if it is a real number; True and False do not count.

    Args:
        name: The argument's name, for the error.
        value: What was given.
        why: What it is, for the error.

    Raises:
        ValueError: If it is not a number.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise ValueError(
            f"Argument `{name}` must be a number, {why}. "
            f"Received: {name}={value!r}"
        )
    return value


def check_inputs(x, model, name="x"):
    """Refuse a batch of inputs of other shapes than the model takes.

    A subclassed model takes what its call takes: nothing is refused.
    """
    if not getattr(model, "inputs", None):
        return
    inputs = [tuple(np.shape(part)) for part in keras.tree.flatten(x)]
    shapes = [tuple(t.shape) for t in keras.tree.flatten(model.inputs)]
    if len(inputs) != len(shapes) or not all(map(_fits, inputs, shapes)):
        raise ValueError(
            f"Argument `{name}` must hold what the model takes, or it has no "
            f"gradient. Received: inputs of shape {inputs} for a model with "
            f"inputs of shape {shapes}"
        )


def _fits(shape, expected):
    return len(shape) == len(expected) and all(
        size in (None, of) for of, size in zip(shape, expected, strict=True)
    )
