"""The gradient of a model's loss by its weights, on any backend."""

import keras
import numpy as np
from keras import ops

from keras_snn.backend import gradient
from keras_snn.checks import check_inputs


def loss_gradients(
    model, variables, x, y, loss=None, *, training=True, at=None
):
    """The gradient of the mean loss on one batch, by each variable.

    Nothing of the model changes: neither BatchNorm statistics nor seeds.

    Args:
        model: A built Keras model.
        variables: The `keras.Variable`s of the model to differentiate by.
        x: A batch of inputs.
        y: Its targets.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        training: Whether the model runs in training mode, with the batch's
            statistics in BatchNorm. Defaults to True.
        at: List of (variable, value) that stand in for the variables' own:
            masks of ones, say, for the gradient of inactive weights.

    Returns:
        A list of NumPy arrays, of the variables' shapes.

    Raises:
        ValueError: If the model is not compiled and no loss is given, or the
            batch is empty, its lengths differ or the model takes other
            inputs.
    """
    function, values = loss_function(
        model, variables, x, y, loss, training=training, at=at
    )
    return [ops.convert_to_numpy(g) for g in gradient(function, values)]


def dense_gradients(model, weights, x, y, loss=None, *, training=True):
    """The gradient by every masked weight, inactive ones included.

    Inactive weights are stored as 0, so masks of ones leave the network as it
    is, and let their gradients through.

    Args:
        model: A Keras model with masks.
        weights: Dict of path to `MaskedWeight`, those to differentiate by.
        x: A batch of inputs.
        y: Its targets.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        training: As for `loss_gradients`.

    Returns:
        A dict of path to NumPy array of the weight's shape.

    Raises:
        ValueError: As `loss_gradients` does.
    """
    gradients = loss_gradients(
        model,
        [masked.weight for masked in weights.values()],
        x,
        y,
        loss,
        training=training,
        at=[(m.mask, ops.ones_like(m.mask.value)) for m in weights.values()],
    )
    return dict(zip(weights, gradients, strict=True))


def loss_function(
    model,
    variables,
    x,
    y,
    loss=None,
    *,
    training=True,
    at=None,
    temperature=1.0,
):
    """The mean loss on one batch, as a function to differentiate.

    Args:
        model: A built Keras model.
        variables: The `keras.Variable`s that it is a function of.
        x: A batch of inputs.
        y: Its targets.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        training: As for `loss_gradients`.
        at: As for `loss_gradients`.
        temperature: What outputs are divided by, before the loss sees them.

    Returns:
        A function of a list of tensors, one a variable, and the list of
        tensors at which `at` and the model put it.

    Raises:
        ValueError: As `loss_gradients` does.
    """
    if loss is None and not model.compiled:
        raise ValueError(
            "A gradient needs a loss: compile the model, or pass `loss`. "
            f"Received: {model.name!r}, not compiled, and loss=None"
        )
    _check_batch(x, y)
    check_inputs(x, model)
    x, y = keras.tree.map_structure(ops.convert_to_tensor, (x, y))
    outputs_of, values = outputs_function(
        model, variables, x, training=training, at=at
    )

    def loss_of(tensors):
        outputs = outputs_of(tensors)
        if temperature != 1:
            outputs = keras.tree.map_structure(
                lambda output: output / temperature, outputs
            )
        if loss is None:
            with keras.StatelessScope():  # It updates metrics, too.
                return model.compute_loss(x=x, y=y, y_pred=outputs)
        return ops.mean(keras.losses.get(loss)(y, outputs))

    return loss_of, values


def outputs_function(model, variables, x, *, training, at=None):
    """A model's outputs, as a function to differentiate.

    Args:
        model: A built Keras model.
        variables: The `keras.Variable`s that they are a function of.
        x: A batch of inputs, tensors.
        training: As for `loss_gradients`.
        at: As for `loss_gradients`.

    Returns:
        As `loss_function` does.
    """
    known = model.trainable_variables + model.non_trainable_variables
    values = {id(v): v.value for v in known}
    for variable, value in at or ():
        values[id(variable)] = ops.convert_to_tensor(value, variable.dtype)

    def outputs_of(tensors):
        now = values | {
            id(v): t for v, t in zip(variables, tensors, strict=True)
        }
        outputs, _ = model.stateless_call(
            [now[id(v)] for v in model.trainable_variables],
            [now[id(v)] for v in model.non_trainable_variables],
            x,
            training=training,
        )
        return outputs

    return outputs_of, [values[id(v)] for v in variables]


def _check_batch(x, y):
    shapes = [np.shape(part) for part in keras.tree.flatten((x, y))]
    sizes = {shape[0] if shape else 0 for shape in shapes}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            "Arguments `x` and `y` must be one batch: as many inputs as "
            "targets, and at least one. "
            f"Received: lengths {sorted(sizes)}, of arrays of shape {shapes}"
        )
