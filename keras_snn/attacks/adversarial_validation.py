"""Adversarial accuracy and loss on held-out images, after each epoch.

In adversarial training it is best in mid-training and falls from there on:
Rice, Wong and Kolter, 2020, "Overfitting in adversarially robust deep
learning", https://arxiv.org/abs/2002.11569. So both are reported, the best and
the final one.
"""

import keras
from keras import ops

from keras_snn import checks
from keras_snn.attacks import losses
from keras_snn.attacks.adversarial_accuracy import attacked_outputs
from keras_snn.attacks.adversarial_accuracy import share_right


class AdversarialValidation(keras.callbacks.Callback):
    """Adds `val_adversarial_accuracy` to the logs of each epoch.

    And `val_adversarial_loss`, where the model is compiled with one loss.

    Callbacks that monitor it, as `ModelCheckpoint` and `EarlyStopping`, must
    come after it in the list. Each epoch attacks all images from the same
    random starts, if the attack has any.

    Args:
        attack: The attack, such as `PGD(steps=10)`.
        x: Held-out images, floats in [0, 1], of shape (n, ...).
        y: True classes: integers, of shape (n,), or one-hot.
        batch_size: How many images go through the model at once.

    Raises:
        ValueError: At the beginning of training, if attack, images or labels
            are not as above.

    Example:

    ```python
    robust.fit(
        *train,
        epochs=100,
        callbacks=[
            AdversarialValidation(PGD(steps=10), *validation),
            keras.callbacks.ModelCheckpoint(
                "best.keras",
                monitor="val_adversarial_accuracy",
                mode="max",
                save_best_only=True,
            ),
        ],
    )
    robust.save("final.keras")
    ```

    Reference:
        [Overfitting in adversarially robust deep learning](
        https://arxiv.org/abs/2002.11569)
    """

    def __init__(self, attack, x, y, *, batch_size=128):
        super().__init__()
        checks.check_integer("batch_size", batch_size, 1, "to do any work")
        if not callable(attack):
            raise ValueError(
                "Argument `attack` must be an attack such as `PGD()`, or no "
                f"image is attacked. Received: attack={attack!r}"
            )
        self.attack = attack
        self.x = checks.check_images(x)
        self.y = y
        self.batch_size = batch_size

    def on_train_begin(self, logs=None):
        """Refuse labels that do not fit, before an epoch is lost."""
        checks.check_labels(self.y, self.x, self.model)

    def on_epoch_end(self, epoch, logs=None):
        """Attack the images, and note how many are still right."""
        if logs is None:
            return
        outputs = attacked_outputs(
            self.model, self.attack, self.x, self.y, self.batch_size
        )
        logs["val_adversarial_accuracy"] = share_right(self.y, outputs)
        loss = self.model.loss
        if loss is not None and not isinstance(loss, list | tuple | dict):
            y = ops.convert_to_tensor(self.y)
            each = losses.resolve(loss)(y, ops.convert_to_tensor(outputs))
            logs["val_adversarial_loss"] = float(ops.mean(each))
