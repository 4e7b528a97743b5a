"""Losses of logits that attacks raise: functions `(y, logits) -> (n,)`.

`cross_entropy`, `dlr` and `targeted_dlr` are those of Croce and Hein, 2020,
"Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks", https://arxiv.org/abs/2003.01690. The Difference of
Logits Ratio does not change with the scale of the logits or with what is added
to all of them, so that no scale makes its gradient vanish.
"""

import keras
import numpy as np
from keras import ops

from keras_snn.attacks import losses

# No division by zero where three logits are equal; and, of probabilities,
# no logarithm of zero: the smallest normal number of float32.
TINY = 1e-12
SMALLEST = float(np.finfo("float32").tiny)
HALF_PRECISION = ("float16", "bfloat16")


def cross_entropy(y, logits):
    """The cross-entropy of the true class, `y` of shape (n,)."""
    return -_pick(ops.log_softmax(logits, axis=-1), y)


def dlr(y, logits):
    """By how much the best other class leads, over first less third place."""
    top = ops.top_k(logits, 3)[0]
    return -margin(y, logits) / (top[:, 0] - top[:, 2] + TINY)


def targeted_dlr(y, logits):
    """By how much the target leads, over first less third and fourth place.

    Args:
        y: The true class and the target, of shape (n, 2).
        logits: Of shape (n, classes), of at least 4 classes.
    """
    top = ops.top_k(logits, 4)[0]
    spread = top[:, 0] - (top[:, 2] + top[:, 3]) / 2
    return lead(y, logits) / (spread + TINY)


def lead(y, logits):
    """By how much the target leads the true class, `y` of shape (n, 2)."""
    return _pick(logits, y[:, 1]) - _pick(logits, y[:, 0])


def margin(y, logits):
    """By how much the true class leads the best other, `y` of shape (n,)."""
    own = _one_hot(y, logits)
    others = ops.where(own > 0, -float("inf"), logits)
    return _pick(logits, y) - ops.max(others, axis=-1)


def of_probabilities(loss):
    """The same loss of probabilities, whose logarithms are logits."""
    return _OF_PROBABILITIES[loss]


def logarithm(probabilities):
    """Logits that a softmax makes these probabilities."""
    probabilities = ops.cast(probabilities, "float32")
    return ops.log(ops.maximum(probabilities, SMALLEST))


def _of_logarithms(loss):
    return lambda y, outputs: loss(y, logarithm(outputs))


_OF_PROBABILITIES = {
    loss: _of_logarithms(loss)
    for loss in (cross_entropy, dlr, targeted_dlr, lead)
}


def are_probabilities(outputs, model):
    """Whether a model outputs probabilities of classes, and not logits.

    Args:
        outputs: Of some images, a tensor of shape (n, classes).
        model: The model, whose `compile` may have said which of them.

    Raises:
        ValueError: If that is not true.
    """
    half = keras.backend.standardize_dtype(outputs.dtype) in HALF_PRECISION
    rounding = 1e-2 if half else 1e-5
    outputs = ops.convert_to_numpy(outputs).astype("float64")
    sums = outputs.sum(axis=-1)
    found = outputs.min() >= 0 and np.abs(sums - 1).max() <= rounding
    said = _said_from_logits(model)
    if said is not None and said == found:
        outputs, loss = ("logits", "probabilities")[:: 1 if said else -1]
        raise ValueError(
            f"Outputs of `model` must be {outputs}, as the loss of its "
            "`compile` says by `from_logits`, or it was trained on a wrong "
            "loss and is attacked on a wrong one. Received: model="
            f"{model.name}, which outputs {loss}"
        )
    return found


def _said_from_logits(model):
    """What the compiled loss says of the outputs; None where it does not."""
    try:
        loss = keras.losses.get(losses.identify(None, model))
    except ValueError:
        return None
    if isinstance(loss, keras.losses.Loss):
        return loss.get_config().get("from_logits")
    crossentropies = (
        keras.losses.categorical_crossentropy,
        keras.losses.sparse_categorical_crossentropy,
    )
    return False if loss in crossentropies else None


def _one_hot(y, logits):
    return ops.one_hot(ops.cast(y, "int32"), logits.shape[-1])


def _pick(logits, y):
    """Of each row of logits, that of its class."""
    return ops.sum(ops.where(_one_hot(y, logits) > 0, logits, 0.0), axis=-1)
