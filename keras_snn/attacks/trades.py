"""TRADES: TRadeoff-inspired Adversarial DEfense via Surrogate loss.

Zhang, Yu, Jiao, Xing, El Ghaoui and Jordan, 2019, "Theoretically Principled
Trade-off between Robustness and Accuracy", https://arxiv.org/abs/1901.08573:

    minimise  CE(f(x), y) + beta * KL(f(x) || f(x_adv))

where the attack raises the same divergence, not the crossentropy.

Differs from the authors' code (https://github.com/yaodongyu/TRADES): the
attack starts where it is told to, by default at a uniform point of the ball,
theirs at Gaussian noise of standard deviation 0.001; clean images go through
the model once in a step, theirs twice.
"""

import copy

import keras
from keras import ops

from keras_snn.attacks import losses
from keras_snn.attacks.image_gradient import scopes
from keras_snn.attacks.image_gradient import variable_values
from keras_snn.attacks.paired_model import PairedModel

# Of labels that stay as they are, the crossentropy has the divergence's
# gradient. By whether outputs are logits.
DIVERGENCES = {
    logits: keras.losses.CategoricalCrossentropy(from_logits=logits)
    for logits in (False, True)
}


@keras.saving.register_keras_serializable(package="keras_snn")
class TRADESModel(PairedModel):
    """A model that `fit` trains by TRADES: right, and the same when attacked.

    The compiled loss is that on clean images. Metrics of training are
    adversarial; validation, `evaluate` and `predict` are those of the model
    itself, on clean images. See `AdversarialModel` for all else.

    Args:
        model: A built Keras model of one input, images in [0, 1]; trained in
            place, so that it is at hand as `.model` afterwards.
        attack: An attack with a random start and no loss of its own, whose
            steps raise the divergence from the prediction of the clean image.
            Defaults to `PGD()`.
        beta: Weight of the divergence, 1/lambda in the paper: the larger, the
            more robust and the less accurate. Defaults to 6, the paper's
            choice for robustness on CIFAR-10.
        **kwargs: As for `AdversarialModel`: `weight_attack`, say.

    Raises:
        ValueError: If the attack starts at the image, where the divergence has
            no gradient, or has a loss of its own; in training, if the compiled
            loss is no categorical crossentropy.

    Example:

    ```python
    robust = TRADESModel(keras_snn.sparsify(model, 0.8), PGD(eps=8 / 255))
    robust.compile(
        optimizer="sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    robust.fit(x, y, epochs=10, callbacks=[SETUpdate(interval=2)])
    ```

    Reference:
        [Theoretically Principled Trade-off between Robustness and Accuracy](
        https://arxiv.org/abs/1901.08573)
    """

    _compiled_loss_on = 0  # Clean images.

    def __init__(self, model, attack=None, *, beta=6.0, **kwargs):
        super().__init__(model, attack, beta=beta, **kwargs)
        if not self.attack.random_start or self.attack.loss is not None:
            raise ValueError(
                "Argument `attack` must have a random start, since there is "
                "no divergence to follow at the image itself, and no loss, "
                f"since it raises this one. Received: attack={attack!r}"
            )

    def _aim(self, x, y):
        logits = self._gives_logits()
        attack = copy.copy(self.attack)
        attack.loss = DIVERGENCES[logits]
        with scopes(self, variable_values(self))():
            outputs = self(x, training=attack.training)
        log_p = losses.log_probabilities(outputs, logits)
        return attack, ops.exp(ops.stop_gradient(log_p))

    def _penalty(self, y, clean, adversarial):
        return self.beta * losses.divergence(clean, adversarial)
