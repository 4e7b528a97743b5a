"""The loss that an attack raises."""

import keras
from keras import ops


def identify(attack_loss, model):
    """What names the loss: the attack's own, or the one of `compile`.

    Raises:
        ValueError: If there is neither, or more than one loss.
    """
    identifier = attack_loss or getattr(model, "loss", None)
    if identifier is None:
        raise ValueError(
            "An attack must know the loss it raises, or it cannot tell logits "
            "from probabilities: compile the model with its loss, or give the "
            "attack one, as in "
            "`loss=keras.losses.SparseCategoricalCrossentropy("
            f"from_logits=True)`. Received: loss=None, model={model.name}"
        )
    resolve(identifier)
    return identifier


def resolve(identifier):
    """A function `(y, outputs) -> losses`, one for each image."""
    try:
        if isinstance(identifier, list | tuple | dict):
            raise ValueError("more than one loss")
        loss = keras.losses.get(identifier)
    except ValueError as error:
        raise ValueError(
            "The loss an attack raises must be one Keras loss or function "
            "`(y, outputs) -> losses`, or there is no one direction to go. "
            f"Received: loss={identifier!r}"
        ) from error
    function = loss.call if isinstance(loss, keras.losses.Loss) else loss
    kind = getattr(loss, "fn", loss)

    def losses(y, outputs):
        outputs = ops.cast(outputs, "float32")
        y = _encode(y, kind, outputs.shape[-1])
        return function(ops.cast(y, "float32"), outputs)

    return losses


def is_wrong(y, outputs):
    """Of which images the prediction is wrong, of shape (n,)."""
    if len(y.shape) == 2 and y.shape[-1] == outputs.shape[-1]:
        y = ops.argmax(y, axis=-1)
    predictions = ops.argmax(outputs, axis=-1)
    return predictions != ops.cast(ops.reshape(y, (-1,)), predictions.dtype)


def one_hot(y, classes):
    """Class labels, one-hot, of shape (n, classes)."""
    y = _encode(y, keras.losses.categorical_crossentropy, classes)
    return ops.cast(y, "float32")


def log_probabilities(outputs, from_logits):
    """The logarithms of the classes' probabilities, in float32."""
    outputs = ops.cast(outputs, "float32")
    if from_logits:
        return ops.log_softmax(outputs, axis=-1)
    return ops.log(ops.clip(outputs, keras.config.epsilon(), 1.0))


def divergence(log_p, log_q):
    """KL(p || q) of each row, of shape (n,)."""
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


class GivenLosses(keras.losses.Loss):
    """The losses that it is given."""

    def call(self, y_true, y_pred):
        return y_pred


def batch_mean(values, sample_weight=None):
    """The mean over a batch, weighted as Keras weights a loss."""
    return GivenLosses()(values, values, sample_weight)


def _encode(y, kind, classes):
    """Class labels as the two cross-entropies take them."""
    one_hot = len(y.shape) == 2 and y.shape[-1] == classes
    if kind is keras.losses.sparse_categorical_crossentropy and one_hot:
        return ops.argmax(y, axis=-1)
    if kind is keras.losses.categorical_crossentropy and not one_hot:
        return ops.one_hot(ops.cast(ops.reshape(y, (-1,)), "int32"), classes)
    return y
