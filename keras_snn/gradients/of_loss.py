"""The gradient of a model's loss by its weights, on any backend."""

import keras
from keras import ops

from keras_snn.gradients import gradient


def loss_gradients(model, variables, x, y, loss=None, *, training=True):
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

    Returns:
        A list of NumPy arrays, of the variables' shapes.

    Raises:
        ValueError: If the model is not compiled and no loss is given, or the
            batch is empty or its lengths differ.
    """
    if loss is None and not model.compiled:
        raise ValueError(
            "A gradient needs a loss: compile the model, or pass `loss`. "
            f"Received: {model.name!r}, not compiled, and loss=None"
        )
    _check_batch(x, y)
    x, y = keras.tree.map_structure(ops.convert_to_tensor, (x, y))
    known = model.trainable_variables + model.non_trainable_variables
    values = {id(v): v.value for v in known}

    def loss_of(tensors):
        now = values | {
            id(v): t for v, t in zip(variables, tensors, strict=True)
        }
        outputs, _ = model.stateless_call(
            [now[id(v)] for v in model.trainable_variables],
            [now[id(v)] for v in model.non_trainable_variables],
            x,
            training=training,
        )
        if loss is None:
            return model.compute_loss(x=x, y=y, y_pred=outputs)
        return ops.mean(keras.losses.get(loss)(y, outputs))

    gradients = gradient(loss_of, [values[id(v)] for v in variables])
    return [ops.convert_to_numpy(g) for g in gradients]


def _check_batch(x, y):
    sizes = {len(part) for part in keras.tree.flatten((x, y))}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            "Arguments `x` and `y` must be one batch: as many inputs as "
            f"targets, and at least one. Received: lengths {sorted(sizes)}"
        )
