"""EL2N: the length of the error vector, early in training.

Paul, Ganguli and Dziugaite, 2021, "Deep Learning on a Data Diet: Finding
Important Examples Early in Training", https://arxiv.org/abs/2107.07075:

    EL2N(x, y) = ||softmax(f(x)) - onehot(y)||_2,    in [0, sqrt(2)]

averaged over several models, in inference mode, on un-augmented samples. For
CIFAR the paper scores after 20 of 200 epochs, and averages 10 models.
"""

import numpy as np

from keras_snn.hardness.outputs import gives_logits
from keras_snn.hardness.outputs import mean_over_models
from keras_snn.hardness.outputs import outputs_and_targets
from keras_snn.hardness.outputs import probabilities
from keras_snn.hardness.recorder import Recorder


def el2n(model, x, y, *, batch_size=128, from_logits=None):
    """Score samples by the error of a model, in one prediction pass.

    Args:
        model: A built Keras model with one output of shape (n, classes), the
            path of a saved one, or a list of these, whose scores are averaged:
            of several seeds, as in the paper, or several checkpoints.
        x: Samples, an array of shape (n, ...), un-augmented.
        y: Their classes: integers of shape (n,) or (n, 1), or one-hot.
        batch_size: Samples a batch.
        from_logits: Whether outputs are logits, or probabilities. Defaults to
            what the loss says that the model is compiled with.

    Returns:
        The scores: float32 of shape (n,), in [0, sqrt(2)], 0 for a sample that
        the model is sure and right about.

    Raises:
        ValueError: If the labels do not fit, outputs are NaN, or it is not
            known whether they are logits.

    Example:

    ```python
    model.fit(x, y, epochs=20)
    scores = el2n(model, x, y)
    rows = hardest(scores, 0.5)
    ```

    Reference:
        [Deep Learning on a Data Diet](https://arxiv.org/abs/2107.07075)
    """

    def score(model):
        logits = gives_logits(model, from_logits)
        outputs, targets = outputs_and_targets(model, x, y, batch_size)
        errors = probabilities(outputs, logits) - targets
        return np.sqrt(np.square(errors).sum(axis=1))

    return mean_over_models(score, model)


class EL2NRecorder(Recorder):
    """Records EL2N during `fit`, after chosen epochs.

    It costs one prediction pass over `x` for each.

    Args:
        x: Samples, an array of shape (n, ...), un-augmented.
        y: Their classes: integers of shape (n,) or (n, 1), or one-hot.
        epochs: Epochs after which to score, counted from 1, as in `(20,)`.
        batch_size: Samples a batch.
        path: An `.npz` file to keep the scores in as they come. A run that
            goes on by `fit(initial_epoch=...)` finds in it the epochs before;
            later ones are dropped.
        from_logits: As for `el2n`.

    Example:

    ```python
    recorder = EL2NRecorder(x, y, epochs=(10, 20))
    model.fit(augmented(x, y), epochs=20, shuffle=False, callbacks=[recorder])
    recorder.scores[20]
    ```
    """

    def __init__(
        self, x, y, epochs, *, batch_size=128, path=None, from_logits=None
    ):
        super().__init__(x, y, epochs, batch_size=batch_size, path=path)
        self.from_logits = from_logits

    @property
    def scores(self):
        """Dict of epoch to scores, float32 of shape (n,)."""
        return dict(sorted(self.records.items()))

    def mean(self):
        """The mean over the epochs recorded, float32 of shape (n,).

        Raises:
            ValueError: If there are none.
        """
        return self._recorded().mean(axis=0, dtype="float64").astype("float32")

    def record(self, model):
        """The scores, now."""
        return el2n(
            model,
            self.x,
            self.y,
            batch_size=self.batch_size,
            from_logits=self.from_logits,
        )

    def get_config(self):
        """The arguments, for Keras to save."""
        return {**super().get_config(), "from_logits": self.from_logits}
