"""FGSM: the Fast Gradient Sign Method.

Goodfellow, Shlens and Szegedy, 2015, "Explaining and Harnessing Adversarial
Examples", https://arxiv.org/abs/1412.6572:

    x_adv = clip(x + eps * sign(gradient of the loss at x), 0, 1)

Differs from the paper: offers the L2 norm, too, with the gradient divided by
its length in place of the sign.
"""

import keras

from keras_snn.attacks.base import GradientAttack


@keras.saving.register_keras_serializable(package="keras_snn")
class FGSM(GradientAttack):
    """One step of gradient ascent to the edge of the ball around each image.

    Args:
        eps: radius of the ball, in units of pixels in [0, 1].
        norm: `"linf"`, the largest change of any pixel, or `"l2"`, the
            Euclidean length of the change of an image.
        training: whether the model runs in training mode, with the statistics
            of each batch in BatchNorm. Defaults to inference mode.
        loss: the Keras loss to raise, or its name. Defaults to the loss of
            `model.compile`, which also says whether outputs are logits.

    Example:

    ```python
    x_adv = FGSM(eps=8 / 255)(model, x, y)
    ```

    Reference:
        [Explaining and Harnessing Adversarial Examples](
        https://arxiv.org/abs/1412.6572)
    """

    def __init__(self, eps=8 / 255, *, norm="linf", training=False, loss=None):
        super().__init__(
            eps, eps, steps=1, norm=norm, training=training, loss=loss
        )

    def get_config(self):
        """The arguments, for Keras to save."""
        config = super().get_config()
        return {k: config[k] for k in ("eps", "norm", "training", "loss")}
