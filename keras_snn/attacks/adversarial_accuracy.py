"""How often a model is right about attacked images."""

import numpy as np
from keras import ops


def adversarial_accuracy(model, attack, x, y, *, batch_size=128):
    """Attack images, and count the right predictions.

    Args:
        model: A built Keras model, with one output of shape (n, classes).
        attack: The attack, such as `PGD(steps=20)`.
        x: Images, floats in [0, 1], of shape (n, ...).
        y: True classes: integers, of shape (n,), or one-hot.
        batch_size: How many images go through the model at once.

    Returns:
        The fraction of attacked images that get their true class, in [0, 1].

    Raises:
        ValueError: As the attack does, if model, images or labels do not fit.

    Example:

    ```python
    adversarial_accuracy(model, PGD(eps=8 / 255, steps=20), x, y)
    ```
    """
    outputs = attacked_outputs(model, attack, x, y, batch_size)
    return share_right(y, outputs)


def attacked_outputs(model, attack, x, y, batch_size):
    """What a model gives for attacked images, an array."""
    x_adv = attack(model, x, y, batch_size=batch_size)
    return model.predict(x_adv, batch_size=batch_size, verbose=0)


def share_right(y, outputs):
    """The fraction of outputs that are highest for the true class."""
    y = ops.convert_to_numpy(y).reshape(len(outputs), -1)
    labels = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
    return float(np.mean(outputs.argmax(axis=1) == labels))
