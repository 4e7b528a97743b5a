"""PGD: Projected Gradient Descent, on the negative loss.

Madry, Makelov, Schmidt, Tsipras and Vladu, 2018, "Towards Deep Learning Models
Resistant to Adversarial Attacks", https://arxiv.org/abs/1706.06083:

    x <- clip(project(x + step_size * sign(gradient of the loss at x)), 0, 1)

repeated from a random point of the ball around each image; of several such
starts, what is worst for the image is kept.

Differs from the paper: with restarts, a wrong prediction is worse than any
right one, whatever their losses. The model runs in inference mode unless
`training=True`; the official code of "Robust overfitting in adversarially
robust deep learning" (https://arxiv.org/abs/2002.11569) and of others attacks
in training mode while it trains.
"""

import keras

from keras_snn.attacks.base import GradientAttack


@keras.saving.register_keras_serializable(package="keras_snn")
class PGD(GradientAttack):
    """Steps of gradient ascent, each projected back onto the ball.

    The defaults are those of adversarial training on CIFAR-10; papers evaluate
    with `steps=20`.

    Args:
        eps: Radius of the ball, in units of pixels in [0, 1].
        step_size: Length of a step, in the same units.
        steps: Number of steps, at least 1.
        norm: `"linf"`, the largest change of any pixel, or `"l2"`, the
            Euclidean length of the change of an image; measures both radius
            and steps.
        random_start: Whether to start at a point drawn uniformly from the
            ball, clipped to [0, 1], and not at the image.
        seed: Seed of the random start, an integer.
        training: Whether the model runs in training mode, with the statistics
            of each batch in BatchNorm, and the same dropout in every step.
            Defaults to inference mode.
        loss: The Keras loss to raise, or its name. Defaults to the loss of
            `model.compile`, which also says whether outputs are logits.
            Prefer logits: a softmax that is sure has no gradient left, and an
            attack finds robustness that is not there.
        restarts: From how many random starts to ascend, `steps` steps each,
            at least 1. For each image the worst is kept: a wrong prediction,
            or else the highest loss.

    Example:

    ```python
    x_adv = PGD(eps=8 / 255, step_size=2 / 255, steps=20)(model, x, y)
    ```

    Reference:
        [Towards Deep Learning Models Resistant to Adversarial Attacks](
        https://arxiv.org/abs/1706.06083)
    """

    def __init__(
        self,
        eps=8 / 255,
        step_size=2 / 255,
        steps=10,
        *,
        norm="linf",
        random_start=True,
        seed=0,
        training=False,
        loss=None,
        restarts=1,
    ):
        super().__init__(
            eps,
            step_size,
            steps,
            norm=norm,
            random_start=random_start,
            seed=seed,
            training=training,
            loss=loss,
            restarts=restarts,
        )
