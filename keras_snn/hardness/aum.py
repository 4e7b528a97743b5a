"""AUM: the area under the margin, over all of training.

Pleiss, Zhang, Elenberg and Weinberger, 2020, "Identifying Mislabeled Data using
the Area Under the Margin Ranking", https://arxiv.org/abs/2001.10528: the mean
over epochs of the logit of a sample's class less the highest of the others,
best taken before the learning rate falls. Mislabelled samples have the lowest.

Differs from the paper: it takes the logits of training, augmented and before
the step; here samples are looked at after each epoch, un-augmented, in
inference mode. And the sign is turned, so that a hard sample scores high. The
paper's samples of an extra class, by which it sets a threshold, are left out.
"""

from keras_snn.hardness.margin import margin
from keras_snn.hardness.recorder import Recorder


class AUMRecorder(Recorder):
    """Records margins during `fit`, and averages them.

    It costs one prediction pass over `x` an epoch, about a third of what
    training costs.

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
    recorder = AUMRecorder(x, y)
    model.fit(x, y, epochs=100, callbacks=[recorder])
    suspicious = hardest(recorder.scores, 0.1)
    ```

    Reference:
        [Identifying Mislabeled Data using the Area Under the Margin Ranking](
        https://arxiv.org/abs/2001.10528)
    """

    @property
    def scores(self):
        """The mean over epochs of `margin`: the negative of the paper's AUM.

        Raises:
            ValueError: If nothing was recorded.
        """
        return self._recorded().mean(axis=0, dtype="float64").astype("float32")

    def record(self, model):
        """The margins, now."""
        return margin(model, self.x, self.y, batch_size=self.batch_size)
