"""The loop that all attacks by gradient ascent share."""

import math

import keras
import numpy as np
from keras import ops

from keras_snn import backend
from keras_snn import checks
from keras_snn.attacks import losses
from keras_snn.attacks.image_gradient import compiled_image_gradient
from keras_snn.attacks.image_gradient import image_gradient
from keras_snn.attacks.image_gradient import scopes
from keras_snn.attacks.image_gradient import variable_values
from keras_snn.attacks.norms import NORMS
from keras_snn.attacks.norms import check_ball
from keras_snn.shown import call_of


class GradientAttack:
    """Projected gradient ascent of the loss, within a ball around each image.

    A base class: see `FGSM` and `PGD`. An attack alters nothing of the model:
    neither weights nor BatchNorm statistics nor seeds of dropout.

    Args:
        eps: Radius of the ball, in units of pixels in [0, 1].
        step_size: Length of a step, in the same units.
        steps: Number of steps, at least 1.
        norm: `"linf"` or `"l2"`: what measures the radius and the steps.
        random_start: Whether to start at a random point of the ball, not at
            the image itself.
        seed: Seed of the random start, an integer.
        training: Whether the model runs in training mode.
        loss: A Keras loss or its name; by default that of `model.compile`.
        restarts: From how many random starts to ascend, at least 1.
    """

    def __init__(
        self,
        eps,
        step_size,
        steps,
        *,
        norm="linf",
        random_start=False,
        seed=0,
        training=False,
        loss=None,
        restarts=1,
    ):
        checks.check_number("step_size", step_size, "in the same units")
        check_ball(eps, norm)
        if not 0 < step_size < math.inf and eps > 0:
            raise ValueError(
                "Argument `step_size` must be positive and finite, or the "
                f"attack goes nowhere. Received: step_size={step_size}"
            )
        checks.check_integer("steps", steps, 1, "or nothing is attacked")
        checks.check_integer("seed", seed, 0, "to draw the same start again")
        checks.check_integer("restarts", restarts, 1, "or nothing starts")
        if restarts > 1 and not random_start:
            raise ValueError(
                "Argument `restarts` must be 1 without a random start, or all "
                f"find the same. Received: restarts={restarts}, "
                f"random_start={random_start}"
            )
        if loss is not None:
            losses.resolve(loss)
        self.eps = float(eps)
        self.step_size = float(step_size)
        self.steps = int(steps)
        self.norm = norm
        self.random_start = random_start
        self.seed = int(seed)
        self.training = training
        self.loss = loss
        self.restarts = int(restarts)

    __repr__ = call_of

    def __call__(self, model, x, y, *, batch_size=128):
        """Attack a model's predictions of images.

        The random start of an image depends on `seed` and its place in `x`
        alone, neither on the batch size nor on the backend.

        Args:
            model: A built Keras model, with one output of shape (n, classes).
            x: Images, floats in [0, 1], of shape (n, ...).
            y: True classes: integers, of shape (n,) or (n, 1), or one-hot, of
                shape (n, classes).
            batch_size: How many images go through the model at once. Where
                code is compiled, on TensorFlow and JAX, a last batch with
                fewer is filled up, so that nothing is compiled anew.

        Returns:
            The attacked images: a float32 array in [0, 1], shaped as `x`.

        Raises:
            ValueError: If the model is not built or its loss not known, or
                images or labels are not as above.
        """
        checks.check_integer("batch_size", batch_size, 1, "to do any work")
        checks.check_built(model)
        loss = losses.identify(self.loss, model)
        x = checks.check_images(x)
        checks.check_inputs(x, model)
        y = checks.check_labels(y, x, model)
        gradient = compiled_image_gradient(model, loss, self.training, y.ndim)
        state = variable_values(model)
        draws = [self._drawing(start) for start in range(self.restarts)]

        size = min(batch_size, len(x))
        x_adv = np.empty(x.shape, "float32")
        for start in range(0, len(x), size):
            end = start + size
            if not backend.COMPILES:
                end = min(end, len(x))
            batch = np.arange(start, end) % len(x)
            images = ops.convert_to_tensor(x[batch], "float32")
            labels = ops.convert_to_tensor(y[batch], "float32")
            changed = self._attack(
                lambda z, labels=labels: gradient(state, z, labels),
                images,
                labels,
                draws,
            )
            kept = x_adv[start : start + size]
            kept[:] = ops.convert_to_numpy(changed)[: len(kept)]
        return x_adv

    def perturb(self, model, x, y, seed=None):
        """Attack one batch inside a training step, compiled or not.

        Args:
            model: The model, compiled if the attack has no loss of its own.
            x: Tensor of images, floats in [0, 1].
            y: Tensor of true classes, integers or one-hot.
            seed: The `keras.random.SeedGenerator` that draws a random start.

        Returns:
            The attacked images, a tensor shaped as `x`.
        """
        loss = losses.identify(self.loss, model)
        scope = scopes(model, variable_values(model))

        def gradient(images):
            return image_gradient(model, loss, self.training, scope, images, y)

        def draw(shape):
            random = getattr(keras.random, NORMS[self.norm].distribution)
            return random(shape, seed=seed)

        return self._attack(gradient, x, y, [draw] * self.restarts)

    def _drawing(self, start):
        """Draws of one start, for images in turn, however they are batched."""
        seed = [self.seed, start] if start else self.seed
        generator = np.random.default_rng(seed)
        random = getattr(generator, NORMS[self.norm].distribution)
        return lambda shape: ops.convert_to_tensor(
            random(size=shape), "float32"
        )

    def _attack(self, gradient, x, y, draws):
        """Of all restarts, keep what is worst for each image.

        A wrong prediction is worse than a right one; among those alike, the
        higher loss is.
        """
        worst = self._ascend(gradient, x, draws[0])
        for draw in draws[1:]:
            other = self._ascend(gradient, x, draw)
            _, loss, outputs = gradient(worst)
            _, other_loss, other_outputs = gradient(other)
            wrong = losses.is_wrong(y, outputs)
            other_wrong = losses.is_wrong(y, other_outputs)
            worse = (other_wrong & ~wrong) | (
                (other_wrong == wrong) & (other_loss > loss)
            )
            worse = ops.reshape(worse, (-1, *(1,) * (len(x.shape) - 1)))
            worst = ops.where(worse, other, worst)
        return worst

    def _ascend(self, gradient, x, draw):
        norm = NORMS[self.norm]

        def within(images):
            change = norm.project(images - x, self.eps)
            return ops.clip(x + change, 0.0, 1.0)

        images = x
        if self.random_start:
            images = within(x + self.eps * norm.unit_ball(draw, ops.shape(x)))
        for _ in range(self.steps):
            ascent = norm.steepest(gradient(images)[0])
            images = within(images + self.step_size * ascent)
        return images

    def get_config(self):
        """The arguments, for Keras to save."""
        return {
            "eps": self.eps,
            "step_size": self.step_size,
            "steps": self.steps,
            "norm": self.norm,
            "random_start": self.random_start,
            "seed": self.seed,
            "training": self.training,
            "loss": keras.saving.serialize_keras_object(self.loss),
            "restarts": self.restarts,
        }

    @classmethod
    def from_config(cls, config):
        """Build from what `get_config` returned."""
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})
