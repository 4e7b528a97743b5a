"""GraNd: the norm of a sample's gradient.

Paul, Ganguli and Dziugaite, 2021, "Deep Learning on a Data Diet: Finding
Important Examples Early in Training", https://arxiv.org/abs/2107.07075:

    GraNd(x, y) = ||gradient of crossentropy(f(x), y) by all parameters||_2

averaged over several models.

Do not score at initialisation. What the paper reports there did not reproduce:
Kirsch, 2023, "Does 'Deep Learning on a Data Diet' reproduce? Overall yes, but
GraNd at Initialization does not", https://arxiv.org/abs/2303.14753.
"""

import numpy as np
from keras import losses
from keras import ops

from keras_snn import backend
from keras_snn.checks import check_labels
from keras_snn.hardness.outputs import check_lengths
from keras_snn.hardness.outputs import gives_logits
from keras_snn.hardness.outputs import mean_over_models


def grand(model, x, y, *, from_logits=None):
    """Score samples by the norm of their gradients, one sample at a time.

    The model runs in inference mode, so that no sample sees another. All of
    its trainable parameters count; a weight outside its mask has no gradient.
    Regularisers are left out. It takes a forward and a backward pass for each
    sample alone, on two cores 30 to 70 times the time of `el2n`, whose order
    of samples it nearly repeats.

    Score a model that was trained for some epochs. At initialisation these
    scores choose no better than at random (Kirsch, 2023,
    https://arxiv.org/abs/2303.14753), which cannot be told from the weights.

    Args:
        model: A built Keras model with one output of shape (n, classes), the
            path of a saved one, or a list of these, whose scores are averaged.
        x: Samples, an array of shape (n, ...), un-augmented.
        y: Their classes: integers of shape (n,) or (n, 1), or one-hot.
        from_logits: Whether outputs are logits, or probabilities. Defaults to
            what the loss says that the model is compiled with.

    Returns:
        The scores: float32 of shape (n,), >= 0.

    Raises:
        ValueError: If the labels do not fit, a gradient is NaN, or it is not
            known whether outputs are logits.

    Example:

    ```python
    model.fit(x, y, epochs=20)
    scores = grand(model, x[:1000], y[:1000])
    ```

    Reference:
        [Deep Learning on a Data Diet](https://arxiv.org/abs/2107.07075)
    """

    def score(model):
        norm = _compiled_norm(model, gives_logits(model, from_logits))
        check_lengths(x, y)
        labels = check_labels(y, x, model)
        state = (
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
        )
        norms = np.array(
            [
                float(
                    norm(
                        *state,
                        ops.convert_to_tensor(x[i : i + 1]),
                        ops.convert_to_tensor(labels[i : i + 1], "float32"),
                    )
                )
                for i in range(len(x))
            ]
        )
        _check_finite(norms, model)
        return norms

    return mean_over_models(score, model)


def _compiled_norm(model, from_logits):
    def norm(trainable, non_trainable, x, y):
        def crossentropy(trainable):
            outputs, _ = model.stateless_call(
                trainable, non_trainable, x, training=False
            )
            outputs = ops.cast(outputs, "float32")
            targets = y
            if len(y.shape) == 1:
                targets = ops.one_hot(ops.cast(y, "int32"), outputs.shape[-1])
            return ops.sum(
                losses.categorical_crossentropy(targets, outputs, from_logits)
            )

        squares = [
            ops.sum(ops.square(ops.cast(g, "float32")))
            for g in backend.gradient(crossentropy, trainable)
        ]
        return ops.sqrt(sum(squares))

    return backend.jit(norm)


def _check_finite(norms, model):
    bad = ~np.isfinite(norms)
    if bad.any():
        raise ValueError(
            "Gradients must be finite, or samples have no score: did training "
            f"diverge? Received: NaN or infinite gradients of {model.name!r} "
            f"for {bad.sum()} of {len(bad)} samples, the first at index "
            f"{bad.argmax()}"
        )
