"""Loss: the crossentropy of a sample.

Jiang, Wong, Zhou, Andersen, Dean, Ganger, Joshi, Kaminksy, Kozuch, Lipton and
Pillai, 2019, "Accelerating Deep Learning by Focusing on the Biggest Losers",
https://arxiv.org/abs/1910.00762, which train on samples of high loss.
"""

from keras_snn.hardness.outputs import gives_logits
from keras_snn.hardness.outputs import logarithms
from keras_snn.hardness.outputs import mean_over_models
from keras_snn.hardness.outputs import outputs_and_targets


def loss(model, x, y, *, batch_size=128, from_logits=None):
    """Score samples by their crossentropy, in one prediction pass.

    Args:
        model: A built Keras model with one output of shape (n, classes), the
            path of a saved one, or a list of these, whose scores are averaged.
        x: Samples, an array of shape (n, ...), un-augmented.
        y: Their classes: integers of shape (n,) or (n, 1), or one-hot.
        batch_size: Samples a batch.
        from_logits: Whether outputs are logits, or probabilities. Defaults to
            what the loss says that the model is compiled with.

    Returns:
        The scores: float32 of shape (n,), >= 0, in nats.

    Raises:
        ValueError: If the labels do not fit, outputs are NaN, or it is not
            known whether they are logits.

    Example:

    ```python
    rows = hardest(loss(model, x, y), 0.5)
    ```

    Reference:
        [Accelerating Deep Learning by Focusing on the Biggest Losers](
        https://arxiv.org/abs/1910.00762)
    """

    def score(model):
        logits = gives_logits(model, from_logits)
        outputs, targets = outputs_and_targets(model, x, y, batch_size)
        return -(targets * logarithms(outputs, logits)).sum(axis=1)

    return mean_over_models(score, model)
