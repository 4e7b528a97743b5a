"""A model's outputs for labelled samples, checked."""

import os

import keras
import numpy as np

from keras_snn.checks import check_built
from keras_snn.checks import check_integer
from keras_snn.checks import check_labels

CROSSENTROPIES = (
    keras.losses.categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
    keras.losses.sparse_categorical_crossentropy,
)


def mean_over_models(score, models):
    """The mean of a score over models.

    Args:
        score: Function of a Keras model that returns an array.
        models: A Keras model or the path of one that was saved, or a list of
            them; one at a time is loaded.

    Returns:
        A float32 array.

    Raises:
        ValueError: If there is no model, or one is not built.
    """
    models = models if isinstance(models, list | tuple) else [models]
    if not models:
        raise ValueError(
            "Argument `model` must be at least one model, or there is nothing "
            f"to average. Received: model={models!r}"
        )
    _check_models(models)
    scores = [score(_loaded(model)) for model in models]
    return np.mean(scores, axis=0, dtype="float64").astype("float32")


def loaded(models):
    """Models, those that are paths loaded.

    Raises:
        ValueError: If one is no model, or not built.
    """
    _check_models(models)
    return [_loaded(model) for model in models]


def _loaded(model):
    if isinstance(model, str | os.PathLike):
        return keras.saving.load_model(model)
    return model


def _check_models(models):
    for model in models:
        if not isinstance(model, str | os.PathLike):
            _check_model(model)


def outputs_and_targets(model, x, y, batch_size):
    """One prediction pass, in inference mode.

    Args:
        model: A built Keras model with one output of shape (n, classes).
        x: Samples, an array of shape (n, ...).
        y: Their classes, as integers or one-hot.
        batch_size: Samples a batch.

    Returns:
        Outputs and one-hot classes, float64 arrays of shape (n, classes).

    Raises:
        ValueError: If labels do not fit, or an output is NaN or infinite.
    """
    check_lengths(x, y)
    check_integer("batch_size", batch_size, 1, "to do any work")
    y = check_labels(y, x, model)
    # Not `predict`: on PyTorch it draws from the generator that shuffles the
    # batches of a `fit` around it. On TensorFlow, each replica of a strategy
    # gives the whole batch: the first is enough.
    parts = (x[i : i + batch_size] for i in range(0, len(x), batch_size))
    batches = [model.predict_on_batch(part)[: len(part)] for part in parts]
    outputs = np.concatenate([np.asarray(b, "float64") for b in batches])
    bad = ~np.isfinite(outputs).all(axis=1)
    if bad.any():
        raise ValueError(
            "Outputs of a model must be finite, or samples have no score: "
            "did training diverge? Received: NaN or infinite outputs of "
            f"{model.name!r} for {bad.sum()} of {len(bad)} samples, the first "
            f"at index {bad.argmax()}"
        )
    return outputs, one_hot(y, outputs.shape[1])


def one_hot(y, classes):
    """Checked labels as float64 of shape (n, classes)."""
    return (
        y.astype("float64") if y.ndim == 2 else np.eye(classes)[y.astype(int)]
    )


def check_lengths(x, y):
    """Raises a ValueError if samples and labels differ in number."""
    if not np.ndim(x) or not np.ndim(y):
        raise ValueError(
            "Arguments `x` and `y` must be arrays, one row a sample. "
            f"Received: a {type(x).__name__} and a {type(y).__name__}"
        )
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            "Arguments `x` and `y` must be as many samples as labels, and at "
            f"least one. Received: {len(x)} samples and {len(y)} labels"
        )


def probabilities(outputs, from_logits):
    """Outputs as probabilities of the classes.

    Args:
        outputs: Float array of shape (n, classes).
        from_logits: Whether they are logits.

    Raises:
        ValueError: If they should be probabilities and are not.
    """
    if from_logits:
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    # Wide enough for half precision.
    off = np.abs(outputs.sum(axis=1) - 1) > 0.01
    if off.any() or outputs.min() < 0:
        raise ValueError(
            "Outputs must be probabilities, each row with the sum 1, where the "
            "model is compiled without `from_logits=True`, or the score means "
            "nothing: pass `from_logits=True` if they are logits. Received: "
            f"sums from {outputs.sum(axis=1).min():.4g} to "
            f"{outputs.sum(axis=1).max():.4g}, smallest {outputs.min():.4g}"
        )
    return outputs


def logarithms(outputs, from_logits):
    """Outputs as logarithms of the classes' probabilities, all finite.

    Args:
        outputs: Float array of shape (n, classes).
        from_logits: Whether they are logits.

    Raises:
        ValueError: If they should be probabilities and are not.
    """
    if not from_logits:
        smallest = np.finfo("float32").tiny
        return np.log(np.maximum(probabilities(outputs, False), smallest))
    return log_softmax(outputs)


def log_softmax(logits):
    """Logits as logarithms of the classes' probabilities."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def gives_logits(model, from_logits):
    """Whether a model's outputs are logits: as told, or as it is compiled.

    Args:
        model: A Keras model.
        from_logits: `True` or `False`, or `None` to ask the compiled loss.

    Raises:
        ValueError: If neither tells.
    """
    if from_logits is not None:
        return bool(from_logits)
    identifier = getattr(model, "loss", None)
    try:
        loss = keras.losses.get(identifier)
    except ValueError:  # A list or dict of losses.
        loss = None
    if getattr(loss, "fn", loss) not in CROSSENTROPIES:
        raise ValueError(
            "What is computed of probabilities must know whether outputs are "
            "logits: compile the model with a categorical crossentropy, or "
            "pass `from_logits` to a score. Received: from_logits=None, "
            f"model={model.name}, loss={identifier!r}"
        )
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    return config.get("from_logits", False)


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise ValueError(
            "Argument `model` must be a Keras model, the path of a saved one, "
            f"or a list of these. Received: {model!r}"
        )
    check_built(model)
