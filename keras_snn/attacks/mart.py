"""MART: Misclassification Aware adveRsarial Training.

Wang, Zou, Yi, Bailey, Ma and Gu, 2020, "Improving Adversarial Robustness
Requires Revisiting Misclassified Examples",
https://openreview.net/forum?id=rklOg6EFwS: minimise

    BCE(p_adv, y) + beta * KL(p || p_adv) * (1 - p[y])
    BCE(p, y) = -log p[y] - log(1 - max over k != y of p[k])

with the probabilities p of a clean image and p_adv of the attacked one.

Differs from the authors' code (https://github.com/YisenWang/MART): the attack
starts where it is told to, by default at a uniform point of the ball, theirs at
Gaussian noise of standard deviation 0.001; logarithms are exact, theirs have
1e-12 added to probabilities, which takes the gradient of smaller ones away.
"""

import keras
from keras import ops

from keras_snn.attacks import losses
from keras_snn.attacks.paired_model import PairedModel

# The margin's logarithm is of (this - p), so that it stays finite: mart.py.
JUST_ABOVE_ONE = 1.0001


@keras.saving.register_keras_serializable(package="keras_snn")
class MARTModel(PairedModel):
    """A model that `fit` trains by MART: more where clean images are wrong.

    The compiled loss is that on attacked images, the first part of the boosted
    crossentropy (BCE), and what the attack raises. Metrics of training are
    adversarial; validation, `evaluate` and `predict` are those of the model
    itself, on clean images. See `AdversarialModel` for all else.

    Args:
        model: A built Keras model of one input, images in [0, 1]; trained in
            place, so that it is at hand as `.model` afterwards.
        attack: An attack by gradients. Defaults to `PGD()`.
        beta: Weight of the divergence, lambda in the paper. Defaults to 5, the
            authors' for ResNet-18.
        **kwargs: As for `AdversarialModel`: `weight_attack`, say.

    Raises:
        ValueError: If `attack` is no attack by gradients; in training, if the
            compiled loss is no categorical crossentropy.

    Example:

    ```python
    robust = MARTModel(keras_snn.sparsify(model, 0.8), PGD(eps=8 / 255))
    robust.compile(
        optimizer="sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    robust.fit(x, y, epochs=10, callbacks=[SETUpdate(interval=2)])
    ```

    Reference:
        [Improving Adversarial Robustness Requires Revisiting Misclassified
        Examples](https://openreview.net/forum?id=rklOg6EFwS)
    """

    _compiled_loss_on = 1  # Attacked images.

    def __init__(self, model, attack=None, *, beta=5.0, **kwargs):
        super().__init__(model, attack, beta=beta, **kwargs)

    def _penalty(self, y, clean, adversarial):
        true = losses.one_hot(y, clean.shape[-1])
        others = ops.max((1.0 - true) * ops.exp(adversarial), axis=-1)
        margin = -ops.log(JUST_ABOVE_ONE - others)
        unsure = 1.0 - ops.sum(true * ops.exp(clean), axis=-1)
        divergence = losses.divergence(clean, adversarial)
        return margin + self.beta * divergence * unsure
