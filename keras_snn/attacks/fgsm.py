"""FGSM: the Fast Gradient Sign Method.

Goodfellow, Shlens and Szegedy, 2015, "Explaining and Harnessing Adversarial
Examples", https://arxiv.org/abs/1412.6572:

    x_adv = clip(x + eps * sign(gradient of the loss at x), 0, 1)

and FGSM-RS, with a random start, for training: Wong, Rice and Kolter, 2020,
"Fast is better than free: Revisiting adversarial training",
https://arxiv.org/abs/2001.03994:

    x_adv = clip(project(x' + 1.25 * eps * sign(gradient at x')), 0, 1)

from a point x' that is uniform in the ball.

Differs from the paper: offers the L2 norm, too, with the gradient divided by
its length in place of the sign.
"""

import keras

from keras_snn.attacks.base import GradientAttack

OVER = 1.25  # How far FGSM-RS goes, in units of eps: beyond is projected back.


@keras.saving.register_keras_serializable(package="keras_snn")
class FGSM(GradientAttack):
    """One step of gradient ascent to the edge of the ball around each image.

    Args:
        eps: Radius of the ball, in units of pixels in [0, 1].
        norm: `"linf"`, the largest change of any pixel, or `"l2"`, the
            Euclidean length of the change of an image.
        random_start: Whether to start at a point drawn uniformly from the
            ball, and go 1.25 `eps` from there, back onto the ball: FGSM-RS.
        seed: Seed of the random start, an integer.
        training: Whether the model runs in training mode, with the statistics
            of each batch in BatchNorm, as FGSM-RS has it. Defaults to
            inference mode.
        loss: The Keras loss to raise, or its name. Defaults to the loss of
            `model.compile`, which also says whether outputs are logits.

    Example:

    ```python
    x_adv = FGSM(eps=8 / 255)(model, x, y)
    ```

    Training by FGSM-RS can overfit catastrophically: within an epoch the model
    learns to withstand this attack alone, and accuracy under PGD falls to
    nothing. The paper attacks a batch by 5 steps of PGD after each epoch and,
    when accuracy falls by more than 0.2, stops and keeps the weights from
    before. Held-out images do for that, too:

    ```python
    robust = AdversarialModel(model, FGSM(random_start=True, training=True))
    robust.compile("sgd", loss)
    robust.fit(
        *train,
        epochs=15,
        callbacks=[
            AdversarialValidation(PGD(steps=5), *validation),
            keras.callbacks.EarlyStopping(
                "val_adversarial_accuracy",
                mode="max",
                patience=1,
                restore_best_weights=True,
            ),
        ],
    )
    ```

    Reference:
        [Explaining and Harnessing Adversarial Examples](
        https://arxiv.org/abs/1412.6572), and [Fast is better than free:
        Revisiting adversarial training](https://arxiv.org/abs/2001.03994)
    """

    def __init__(
        self,
        eps=8 / 255,
        *,
        norm="linf",
        random_start=False,
        seed=0,
        training=False,
        loss=None,
    ):
        super().__init__(
            eps,
            OVER * eps if random_start else eps,
            steps=1,
            norm=norm,
            random_start=random_start,
            seed=seed,
            training=training,
            loss=loss,
        )

    def get_config(self):
        """The arguments, for Keras to save."""
        config = super().get_config()
        for name in ("step_size", "steps", "restarts"):
            del config[name]
        return config
