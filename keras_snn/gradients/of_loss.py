"""The loss on a batch as a function of weights, and its gradient."""

import keras
import numpy as np
from keras import ops

from keras_snn.backend import gradient
from keras_snn.checks import check_inputs
from keras_snn.masking import keras_private

LOSS_SCALES = 2.0**15, 2.0**10, 2.0**5, 1.0  # Of float16, the first that fits.


def loss_gradients(
    model,
    variables,
    x,
    y,
    loss=None,
    *,
    sample_weight=None,
    training=True,
    at=None,
    penalties=False,
):
    """The gradient of the mean loss on one batch, by each variable.

    Nothing of the model changes: neither BatchNorm statistics nor seeds. Where
    a layer computes in float16, the loss is scaled, as in training, by as much
    as keeps the gradients finite.

    Args:
        model: A built Keras model.
        variables: The `keras.Variable`s of the model to differentiate by.
        x: A batch of inputs.
        y: Its targets.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        sample_weight: Array of a weight a sample, or None.
        training: Whether the model runs in training mode, with the batch's
            statistics in BatchNorm. Defaults to True.
        at: List of (variable, value) that stand in for the variables' own:
            masks of ones, say, for the gradient of inactive weights.
        penalties: Whether what layers add to the compiled loss, by `add_loss`
            and by regularisers, counts as it does in training.

    Returns:
        A list of NumPy arrays, of the variables' shapes.

    Raises:
        ValueError: If the model is not compiled and no loss is given, or the
            batch is empty, its lengths differ or the model takes other
            inputs.
    """
    function, values = loss_function(
        model,
        variables,
        x,
        y,
        loss,
        sample_weight=sample_weight,
        training=training,
        at=at,
        penalties=penalties,
    )
    for scale in LOSS_SCALES if _in_float16(model) else (1.0,):

        def scaled(tensors, scale=scale):
            return ops.cast(function(tensors), "float32") * scale

        gradients = [
            ops.convert_to_numpy(g) / scale for g in gradient(scaled, values)
        ]
        if all(np.isfinite(each).all() for each in gradients):
            break
    return gradients


def loss_function(
    model,
    variables,
    x,
    y,
    loss=None,
    *,
    sample_weight=None,
    training=True,
    at=None,
    temperature=1.0,
    penalties=False,
):
    """The mean loss on one batch, as a function to differentiate.

    Args:
        model: A built Keras model.
        variables: The `keras.Variable`s that it is a function of.
        x: A batch of inputs.
        y: Its targets.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        sample_weight: As for `loss_gradients`.
        training: As for `loss_gradients`.
        at: As for `loss_gradients`.
        temperature: What outputs are divided by, before the loss sees them.
        penalties: As for `loss_gradients`.

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
    largest = _class_range(model.loss if loss is None else loss, y)
    x, y = keras.tree.map_structure(ops.convert_to_tensor, (x, y))
    if sample_weight is not None:
        sample_weight = ops.convert_to_tensor(sample_weight)
    state_of, values = _state_function(model, variables, at)

    def loss_of(tensors):
        state = state_of(tensors)
        outputs, _, losses = model.stateless_call(
            *state, x, training=training, return_losses=True
        )
        if largest is not None:
            _check_classes(*largest, y, outputs)
        if temperature != 1:
            outputs = keras.tree.map_structure(
                lambda output: output / temperature, outputs
            )
        if loss is not None:
            return _mean_loss(loss, y, outputs, sample_weight)
        batch = {"x": x, "y": y, "y_pred": outputs}
        batch["sample_weight"] = sample_weight
        if not penalties:
            with keras.StatelessScope():  # It updates metrics, too.
                return model.compute_loss(**batch)
        metrics = [v.value for v in model.metrics_variables]
        with keras_private.losses_of_call(model, losses):
            return model.stateless_compute_loss(
                *state, metrics, **batch, training=training
            )[0]

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
    state_of, values = _state_function(model, variables, at)

    def outputs_of(tensors):
        return model.stateless_call(*state_of(tensors), x, training=training)[0]

    return outputs_of, values


def _state_function(model, variables, at):
    """A model's trainable and other values as a function of some of them."""
    known = model.trainable_variables + model.non_trainable_variables
    values = {id(v): v.value for v in known}
    for variable, value in at or ():
        values[id(variable)] = ops.convert_to_tensor(value, variable.dtype)

    def state_of(tensors):
        now = values | {
            id(v): t for v, t in zip(variables, tensors, strict=True)
        }
        return (
            [now[id(v)] for v in model.trainable_variables],
            [now[id(v)] for v in model.non_trainable_variables],
        )

    return state_of, [values[id(v)] for v in variables]


def _mean_loss(loss, y, outputs, sample_weight):
    loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        return ops.mean(loss(y, outputs, sample_weight))
    losses = loss(y, outputs)  # A function, of one loss a sample.
    if sample_weight is not None:
        weight = ops.cast(sample_weight, losses.dtype)
        shape = (-1, *[1] * (len(losses.shape) - 1))
        losses = losses * ops.reshape(weight, shape)
    return ops.mean(losses)


def _class_range(loss, y):
    """The lowest and the highest label, where a loss takes labels; or None."""
    if loss == "sparse_categorical_crossentropy":
        loss = keras.losses.sparse_categorical_crossentropy
    if loss is not keras.losses.sparse_categorical_crossentropy and (
        not isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
        or loss.get_config().get("ignore_class") is not None
    ):
        return None
    y = ops.convert_to_numpy(y) if ops.is_tensor(y) else np.asarray(y)
    if y.dtype.kind in "OSU" or (y != np.floor(y)).any():
        raise ValueError(
            "Argument `y` must hold whole numbers, the class of each sample, "
            "for a loss that takes labels. "
            f"Received: y of dtype {y.dtype}, {y.flat[0]!r} first"
        )
    return y.min(), y.max()


def _check_classes(low, high, y, outputs):
    classes = outputs.shape[-1]
    if len(y.shape) == len(outputs.shape) and y.shape[-1] != 1:
        raise ValueError(
            "Labels must be one class a sample for a loss that takes labels: "
            "one-hot ones need CategoricalCrossentropy. Received: y of shape "
            f"{tuple(y.shape)}, outputs of shape {tuple(outputs.shape)}"
        )
    if low < 0 or high >= classes:
        raise ValueError(
            f"Labels must be in [0, {classes}), one for each output, or the "
            "loss of others is not defined: those that start at 1 need `y - "
            f"1`. Received: labels from {low} to {high}"
        )


def _check_batch(x, y):
    shapes = [np.shape(part) for part in keras.tree.flatten((x, y))]
    sizes = {shape[0] if shape else 0 for shape in shapes}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            "Arguments `x` and `y` must be one batch: as many inputs as "
            "targets, and at least one. "
            f"Received: lengths {sorted(sizes)}, of arrays of shape {shapes}"
        )


def _in_float16(model):
    return any(
        layer.compute_dtype == "float16"
        for layer in keras_private.flattened_layers(model)
    )
