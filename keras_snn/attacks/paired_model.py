"""What losses on clean and attacked images together share."""

from keras import ops

from keras_snn import checks
from keras_snn.attacks import losses
from keras_snn.attacks.adversarial_model import AdversarialModel
from keras_snn.attacks.pgd import PGD
from keras_snn.hardness.outputs import gives_logits


class PairedModel(AdversarialModel):
    """A model that `fit` trains on clean and attacked images, two batches.

    A base class: see `TRADESModel` and `MARTModel`. Clean images go through
    the model first, then the attacked ones, so that BatchNorm normalises each
    by its own statistics. Training minimises the compiled loss on one of them,
    and `beta` times what `_penalty` makes of both.

    Args:
        model: A built Keras model of one input, images in [0, 1].
        attack: An attack by gradients. Defaults to `PGD()`.
        beta: Weight of the term that compares the two.
    """

    def __init__(self, model, attack=None, *, beta, **kwargs):
        super().__init__(model, PGD() if attack is None else attack, **kwargs)
        checks.check_number("beta", beta, "the weight of a term of the loss")
        if not 0 <= beta < float("inf"):
            raise ValueError(
                "Argument `beta` must be at least 0 and finite, or training "
                f"seeks what it should avoid. Received: beta={beta}"
            )
        self.beta = float(beta)

    def call(self, inputs, training=None):
        """Run the model itself; on a pair, on both, of shape (n, 2, ...)."""
        if not _is_pair(inputs):
            return super().call(inputs, training=training)
        both = [self.model(x, training=training) for x in inputs]
        return ops.stack(both, axis=1)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss: on a pair, that of the paper."""
        if not _is_pair(x):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        outputs = y_pred[:, self._compiled_loss_on]
        loss = super().compute_loss(x, y, outputs, sample_weight, training)
        log_p = losses.log_probabilities(y_pred, self._gives_logits())
        penalty = self._penalty(y, log_p[:, 0], log_p[:, 1])
        return loss + losses.batch_mean(penalty, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The metrics: on a pair, those of the attacked images."""
        if _is_pair(x):
            y_pred = y_pred[:, 1]
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _penalty(self, y, clean, adversarial):
        """What adds to the compiled loss, of shape (n,).

        Args:
            y: True classes, integers or one-hot.
            clean: The log-probabilities of the clean images.
            adversarial: Those of the attacked images.
        """
        raise NotImplementedError

    def _gives_logits(self):
        return gives_logits(self, None)

    def _aim(self, x, y):
        self._gives_logits()  # Or an error, before anything changes.
        return super()._aim(x, y)

    def _trained_on(self, x, x_adv):
        return x, x_adv

    def get_config(self):
        """The model, the attack and `beta`, for Keras to save."""
        return {**super().get_config(), "beta": self.beta}


def _is_pair(x):
    return isinstance(x, tuple | list)
