"""Margin: by how much another class leads.

Toneva, Sordoni, Tachet des Combes, Trischler, Bengio and Gordon, 2019, "An
Empirical Study of Example Forgetting during Deep Neural Network Learning",
https://arxiv.org/abs/1812.05159: the logit of a sample's class less the highest
of the others. Here the sign is turned, so that a hard sample scores high, as
with all scores: positive where the sample is classified wrongly.
"""

import numpy as np

from keras_snn.hardness.outputs import gives_logits
from keras_snn.hardness.outputs import logarithms
from keras_snn.hardness.outputs import mean_over_models
from keras_snn.hardness.outputs import outputs_and_targets


def margin(model, x, y, *, batch_size=128, from_logits=None):
    """Score samples by the lead of another class, in one prediction pass.

    Args:
        model: A built Keras model with one output of shape (n, classes), the
            path of a saved one, or a list of these, whose scores are averaged.
        x: Samples, an array of shape (n, ...), un-augmented.
        y: Their classes: integers of shape (n,) or (n, 1), or one-hot.
        batch_size: Samples a batch.
        from_logits: Whether outputs are logits, or probabilities, whose
            logarithms have the same differences. Defaults to what the loss
            says that the model is compiled with.

    Returns:
        The scores: float32 of shape (n,), the highest logit of other classes
        less that of the sample's own.

    Raises:
        ValueError: If the labels do not fit, outputs are NaN, or it is not
            known whether they are logits.

    Example:

    ```python
    wrong = margin(model, x, y) > 0
    ```

    Reference:
        [An Empirical Study of Example Forgetting](
        https://arxiv.org/abs/1812.05159)
    """

    def score(model):
        logits = gives_logits(model, from_logits)
        outputs, targets = outputs_and_targets(model, x, y, batch_size)
        outputs = logarithms(outputs, logits)
        own = targets.argmax(axis=1)[:, None]
        others = outputs.copy()
        np.put_along_axis(others, own, -np.inf, axis=1)
        return others.max(axis=1) - np.take_along_axis(outputs, own, 1)[:, 0]

    return mean_over_models(score, model)
