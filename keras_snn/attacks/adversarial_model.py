"""Adversarial training inside `fit`.

Madry, Makelov, Schmidt, Tsipras and Vladu, 2018, "Towards Deep Learning Models
Resistant to Adversarial Attacks", https://arxiv.org/abs/1706.06083: minimise
the loss on images that an attack has changed to maximise it.
"""

import keras
from keras import ops

from keras_snn import backend
from keras_snn.attacks.awp import AWP
from keras_snn.attacks.base import GradientAttack
from keras_snn.attacks.robust_model import RobustModel
from keras_snn.attacks.robust_model import unpack


@keras.saving.register_keras_serializable(package="keras_snn")
class AdversarialModel(RobustModel):
    """A model that `fit` trains on attacked images alone.

    Each training step attacks its batch, then trains on it as any Keras model
    does: with callbacks, masks, sample weights, metrics and all that `compile`
    offers, in one compiled step. Metrics of training are adversarial;
    validation, `evaluate` and `predict` are those of the model itself, on
    clean images (see `adversarial_accuracy`).

    Args:
        model: A built Keras model of one input, images in [0, 1]; trained in
            place, so that it is at hand as `.model` afterwards.
        attack: The attack, such as `PGD()`. By default it raises the loss
            that this model is compiled with. A random start is drawn anew in
            every step, from a generator that starts at the attack's seed.
        weight_attack: An attack on the weights, `AWP()`, that each step takes
            its gradient under; None for none.

    Images outside [0, 1] are an error when given as arrays. In a batch of a
    dataset they become NaN, and so does the loss: better than to clip them
    unnoticed. (Half a grey level beyond is forgiven, and clipped.)

    Example:

    ```python
    trainer = AdversarialModel(model, PGD(eps=8 / 255))
    trainer.compile(
        optimizer="sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    trainer.fit(x, y, epochs=10)
    model.save("robust.keras")
    ```
    """

    _parts = ("model", "attack", "weight_attack")

    def __init__(self, model, attack, *, weight_attack=None, **kwargs):
        super().__init__(model, **kwargs)
        if not isinstance(attack, GradientAttack):
            raise ValueError(
                "Argument `attack` must be an attack such as `PGD()`, which "
                f"runs inside a training step. Received: attack={attack!r}"
            )
        if not (weight_attack is None or isinstance(weight_attack, AWP)):
            raise ValueError(
                "Argument `weight_attack` must be `AWP()`, or None to leave "
                f"weights be. Received: weight_attack={weight_attack!r}"
            )
        self.attack = attack
        self.weight_attack = weight_attack
        self.seed_generator = keras.random.SeedGenerator(attack.seed)

    def train_step(self, *step):
        """Attack the batch, then train on it."""
        step = backend.map_batch(self._attack, self, *step)
        if self.weight_attack is None:
            return super().train_step(*step)
        changes = []

        def perturb(data):
            batch = keras.utils.unpack_x_y_sample_weight(data)
            changes.extend(self.weight_attack.changes(self, *batch))
            for variable, change in changes:
                variable.assign_add(change)
            return data

        def restore():
            for variable, change in changes:
                variable.assign_sub(change)

        step = backend.map_batch(perturb, self, *step)
        logs = super().train_step(*step)
        return backend.assign_after(restore, self, logs)

    def training_batch(self, x, y, sample_weight=None):
        """The batch that a training step on these images would train on.

        Random starts are those of the attack's seed, and take none from
        training.

        Args:
            x: Images, an array as for `fit`.
            y: Their classes, likewise.
            sample_weight: A weight an image, or None.

        Returns:
            A tuple of what the model is trained on, the attacked images, `y`
            and `sample_weight`.
        """
        attack, labels = self._aim(x, y)
        x_adv = attack(self, x, labels, batch_size=len(x))
        return self._trained_on(x, x_adv), y, sample_weight

    def _attack(self, data):
        x, y, sample_weight = unpack(data)
        attack, labels = self._aim(x, y)
        x_adv = attack.perturb(self, x, labels, self.seed_generator)
        x = self._trained_on(x, x_adv)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _aim(self, x, y):
        """The attack to run, and the labels whose loss it raises."""
        return self.attack, y

    def _trained_on(self, x, x_adv):
        """What a step trains on, of clean images and attacked ones."""
        return x_adv

    def save_own_variables(self, store):
        """Save where the random starts have got to, which Keras does not."""
        state = ops.convert_to_numpy(self.seed_generator.state)
        store["seed_generator_state"] = state

    def load_own_variables(self, store):
        """Go on with the random starts where they had got to."""
        self.seed_generator.state.assign(store["seed_generator_state"])
