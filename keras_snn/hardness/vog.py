"""VoG: how much the gradient by the pixels varies over training.

Agarwal, D'souza and Hooker, 2022, "Estimating Example Difficulty Using Variance
of Gradients", https://arxiv.org/abs/2008.11600: the gradient of the logit of a
sample's class by its pixels, at several checkpoints; its variance over them,
averaged over the pixels, and standardised within each class.

Differs from the paper: each colour channel counts as a pixel. The paper's
factor 1/sqrt(K), where a variance has 1/K, drops out by standardising.
"""

import numpy as np
from keras import ops

from keras_snn import backend
from keras_snn.attacks.image_gradient import scopes
from keras_snn.attacks.image_gradient import variable_values
from keras_snn.checks import check_integer
from keras_snn.checks import check_labels
from keras_snn.hardness.outputs import check_lengths
from keras_snn.hardness.outputs import gives_logits
from keras_snn.hardness.outputs import loaded


def vog(models, x, y, *, batch_size=128, from_logits=None, by_class=True):
    """Score samples by the variance of their gradients over checkpoints.

    It takes a forward and a backward pass for each checkpoint, all of which
    are in memory at once, with a copy of what is masked.

    Args:
        models: A list of at least two checkpoints of one training: built Keras
            models with one output of shape (n, classes), or paths of saved
            ones. The paper takes three of the early, or of the late epochs.
        x: Samples, a float array of shape (n, ...), un-augmented.
        y: Their classes: integers of shape (n,) or (n, 1), or one-hot.
        batch_size: Samples a batch.
        from_logits: Whether outputs are logits, as they must be. Defaults to
            what the loss says that the models are compiled with.
        by_class: Whether to standardise within each class, as in the paper;
            then scores have both signs.

    Returns:
        The scores: float32 of shape (n,).

    Raises:
        ValueError: If there is one checkpoint alone, labels do not fit, or
            outputs are not logits.

    Example:

    ```python
    scores = vog(["epoch5.keras", "epoch10.keras", "epoch20.keras"], x, y)
    ```

    Reference:
        [Estimating Example Difficulty Using Variance of Gradients](
        https://arxiv.org/abs/2008.11600)
    """
    if not isinstance(models, list | tuple) or len(models) < 2:
        raise ValueError(
            "Argument `models` must be a list of at least two checkpoints, or "
            f"nothing varies. Received: models={models!r}"
        )
    models = loaded(models)
    for model in models:
        if not gives_logits(model, from_logits):
            raise ValueError(
                "Outputs must be logits, or their gradients vanish where a "
                "model is sure: compile it with `from_logits=True`. Received: "
                f"from_logits={from_logits}, model={model.name!r}"
            )
    check_lengths(x, y)
    check_integer("batch_size", batch_size, 1, "to do any work")
    labels = check_labels(y, x, models[0])
    labels = (labels.argmax(1) if labels.ndim == 2 else labels).astype("int32")
    functions = [_gradient_of(model) for model in models]
    batches = []
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        of_each = [f(x[rows], labels[rows]) for f in functions]
        variance = np.var(np.stack(of_each), axis=0, dtype="float64")
        batches.append(variance.reshape(len(variance), -1).mean(axis=1))
    scores = np.concatenate(batches)
    if not np.isfinite(scores).all():
        raise ValueError(
            "Gradients must be finite, or samples have no score: did training "
            f"diverge? Received: NaN for {np.isnan(scores).sum()} of "
            f"{len(scores)} samples"
        )
    return (_standardised(scores, labels) if by_class else scores).astype(
        "float32"
    )


def _gradient_of(model):
    """A function of samples and classes: the gradient of each one's logit."""
    state = variable_values(model)

    def gradient(state, x, y):
        def logits_of_classes(x):
            with scopes(model, state)():
                outputs = ops.cast(model(x, training=False), "float32")
            return ops.sum(outputs * ops.one_hot(y, outputs.shape[-1]))

        return backend.gradient(logits_of_classes, x)

    compiled = backend.jit(gradient)

    def of_batch(x, y):
        x = ops.convert_to_tensor(x, "float32")
        found = compiled(state, x, ops.convert_to_tensor(y))
        return ops.convert_to_numpy(found)

    return of_batch


def _standardised(scores, labels):
    """Within each class, of mean 0 and deviation 1; 0 where all are equal."""
    found = np.zeros_like(scores)
    for label in np.unique(labels):
        mine = labels == label
        deviation = scores[mine].std()
        if deviation > 0:
            found[mine] = (scores[mine] - scores[mine].mean()) / deviation
    return found
