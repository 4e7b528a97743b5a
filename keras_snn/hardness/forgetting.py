"""Forgetting: how often a sample is unlearned.

Toneva, Sordoni, Tachet des Combes, Trischler, Bengio and Gordon, 2019, "An
Empirical Study of Example Forgetting during Deep Neural Network Learning",
https://arxiv.org/abs/1812.05159. A sample is forgotten when it is classified
wrongly after it was classified rightly, the time before.

Differs from the paper: it looks at a sample when a mini-batch has it, as that
stands in the batch, augmented, and with the weights of that step. Here all
samples are looked at after each epoch, un-augmented, in inference mode: the
same in any `fit` and on any backend, for one prediction pass an epoch. Counts
are not to be compared with the paper's; the order of samples is what is used.
"""

import numpy as np

from keras_snn.hardness.outputs import outputs_and_targets
from keras_snn.hardness.recorder import Recorder


def forgetting(correct):
    """Forgetting events, from what was classified rightly when.

    Args:
        correct: Bool array of shape (visits, n), in the order of training.

    Returns:
        Float32 of shape (n,): how many times each sample was right at one
        visit and wrong at the next; infinity if it never was right, as in the
        paper.

    Raises:
        ValueError: If it is not a bool array of that shape.

    Example:

    >>> forgetting(np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1]], bool))
    array([ 1., inf,  0.], dtype=float32)
    """
    correct = np.asarray(correct)
    if correct.ndim != 2 or correct.dtype != bool or len(correct) == 0:
        raise ValueError(
            "Argument `correct` must be bools of shape (visits, n), with at "
            f"least one visit. Received: dtype={correct.dtype}, "
            f"shape={correct.shape}"
        )
    events = np.count_nonzero(correct[:-1] & ~correct[1:], axis=0)
    return np.where(correct.any(axis=0), events, np.inf).astype("float32")


class ForgettingRecorder(Recorder):
    """Counts forgetting events during `fit`.

    It costs one prediction pass over `x` an epoch, about a third of what
    training costs. The module's text says how that differs from the paper.

    Args:
        x: Samples, an array of shape (n, ...), un-augmented.
        y: Their classes: integers of shape (n,) or (n, 1), or one-hot.
        epochs: Epochs after which to look, counted from 1. Defaults to all.
        batch_size: Samples a batch.
        path: An `.npz` file to keep the records in as they come. A run that
            goes on by `fit(initial_epoch=...)` finds in it the epochs before;
            later ones are dropped.

    Example:

    ```python
    recorder = ForgettingRecorder(x, y)
    model.fit(x, y, epochs=200, callbacks=[recorder])
    rows = hardest(recorder.scores, 0.3)
    ```

    Reference:
        [An Empirical Study of Example Forgetting](
        https://arxiv.org/abs/1812.05159)
    """

    @property
    def scores(self):
        """Forgetting events so far: see `forgetting`.

        Raises:
            ValueError: If nothing was recorded.
        """
        return forgetting(self._recorded())

    def record(self, model):
        """Which samples are classified rightly, now."""
        outputs, targets = outputs_and_targets(
            model, self.x, self.y, self.batch_size
        )
        return outputs.argmax(axis=1) == targets.argmax(axis=1)
