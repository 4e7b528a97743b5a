"""Free adversarial training: the attack takes the gradient that training takes.

Shafahi, Najibi, Ghiasi, Xu, Dickerson, Studer, Davis, Taylor and Goldstein,
2019, "Adversarial Training for Free!", https://arxiv.org/abs/1904.12843. Each
batch is trained on several times; from one pass, with g the gradient by the
images, come a step of the optimizer and

    delta <- clip(delta + step_size * sign(g), -eps, eps)
    x_adv = clip(x + delta, 0, 1)

where delta, at first 0, stays from batch to batch.

Agrees with the authors' code, https://github.com/ashafahi/free_adv_train.
"""

import keras
from keras import ops

from keras_snn import backend
from keras_snn import checks
from keras_snn.attacks.norms import NORMS
from keras_snn.attacks.norms import check_ball
from keras_snn.attacks.robust_model import RobustModel
from keras_snn.attacks.robust_model import unpack


@keras.saving.register_keras_serializable(package="keras_snn")
class FreeAdversarialModel(RobustModel):
    """A model that `fit` trains on attacked images, at no cost of an attack.

    A batch takes `replays` steps of the optimizer, each as costly as an
    ordinary one: train for as many epochs fewer. Schedules of the learning
    rate count all of them; callbacks, methods with masks among them, count a
    batch as one. Metrics of training are those of the attacked images over
    all replays; validation, `evaluate` and `predict` are those of the model
    itself, on clean images.

    What is added to the images is a weight of this model, `delta`, beside
    those of `model`: as Keras does with scales of float8, an optimizer puts
    in its place what comes as its gradient.

    Args:
        model: A built Keras model of one input, images in [0, 1]; trained in
            place, so that it is at hand as `.model` afterwards.
        batch_size: Of the largest batch, of as many images as `delta` has
            changes for. Those of a smaller one get the first.
        eps: Radius of the ball, in units of pixels in [0, 1].
        step_size: Length of a step, in the same units. Defaults to `eps`, as
            in the paper.
        replays: How often to train on a batch, m in the paper, at least 1.
            Defaults to 8, the paper's choice for CIFAR-10.
        norm: `"linf"`, as in the paper, or `"l2"`, with the gradient divided
            by its length in place of the sign.

    Raises:
        ValueError: If an argument is none of these, or under a strategy of
            TensorFlow with several replicas; in training, if the optimizer
            accumulates gradients.

    Example:

    ```python
    sparse = keras_snn.sparsify(model, 0.8)
    robust = FreeAdversarialModel(sparse, batch_size=128)
    robust.compile(
        optimizer="sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    robust.fit(x, y, 128, epochs=25, callbacks=[SETUpdate(interval=1)])
    ```

    Reference:
        [Adversarial Training for Free!](https://arxiv.org/abs/1904.12843)
    """

    def __init__(
        self,
        model,
        batch_size,
        *,
        eps=8 / 255,
        step_size=None,
        replays=8,
        norm="linf",
        **kwargs,
    ):
        super().__init__(model, **kwargs)
        checks.check_integer("batch_size", batch_size, 1, "to hold an image")
        checks.check_integer("replays", replays, 1, "or nothing is trained on")
        check_ball(eps, norm)
        step_size = eps if step_size is None else step_size
        checks.check_number("step_size", step_size, "in the same units")
        if not 0 <= step_size < float("inf"):
            raise ValueError(
                "Argument `step_size` must be at least 0 and finite, or images "
                f"change to no end. Received: step_size={step_size}"
            )
        strategy = getattr(self, "distribute_strategy", None)
        if strategy is not None and strategy.num_replicas_in_sync > 1:
            raise ValueError(
                "Free adversarial training runs in one replica of TensorFlow, "
                "or all would share the changes of their images. Received: a "
                f"strategy of {strategy.num_replicas_in_sync} replicas"
            )
        self.batch_size = int(batch_size)
        self.eps = float(eps)
        self.step_size = float(step_size)
        self.replays = int(replays)
        self.norm = norm
        self.delta = self.add_weight(
            shape=(self.batch_size, *model.input_shape[1:]),
            initializer="zeros",
            dtype="float32",
            autocast=False,
            name="delta",
        )
        self.delta.overwrite_with_gradient = True
        self._attacked = backend.differentiable(_add, [None, self._stepped])

    def call(self, inputs, training=None):
        """Run the model itself; on images in a tuple, with `delta` added."""
        if isinstance(inputs, tuple | list):
            inputs = self._attacked(*inputs, self.delta.value)
        return super().call(inputs, training=training)

    def train_step(self, *step):
        """Train on the batch several times, and change its images each time."""
        many = getattr(self.optimizer, "gradient_accumulation_steps", None)
        if many:
            raise ValueError(
                "Argument `gradient_accumulation_steps` of the optimizer must "
                "be None, or images do not change in each step. "
                f"Received: gradient_accumulation_steps={many}"
            )
        step = backend.map_batch(_in_tuple, self, *step)
        return backend.repeat(super().train_step, self.replays, *step)

    def training_batch(self, x, y, sample_weight=None):
        """The batch that a training step on these images would train on.

        Args:
            x: Images, an array as for `fit`.
            y: Their classes, likewise.
            sample_weight: A weight an image, or None.

        Returns:
            A tuple of the images as `delta` changes them, `y` and
            `sample_weight`.
        """
        delta = ops.convert_to_numpy(self.delta)
        rows = [row % self.batch_size for row in range(len(x))]
        return (x + delta[rows]).clip(0.0, 1.0), y, sample_weight

    def _stepped(self, upstream, x, delta):
        """The next `delta`, of the gradient by the attacked images."""
        norm = NORMS[self.norm]
        count = ops.shape(x)[0]
        now = delta[:count]
        inside = (x + now >= 0.0) & (x + now <= 1.0)
        ascent = norm.steepest(ops.where(inside, upstream, 0.0))
        now = norm.project(now + self.step_size * ascent, self.eps)
        return ops.concatenate([now, delta[count:]])

    def get_config(self):
        """The arguments, for Keras to save."""
        return {
            **super().get_config(),
            "batch_size": self.batch_size,
            "eps": self.eps,
            "step_size": self.step_size,
            "replays": self.replays,
            "norm": self.norm,
        }


def _add(x, delta):
    return ops.clip(x + delta[: ops.shape(x)[0]], 0.0, 1.0)


def _in_tuple(data):
    x, y, sample_weight = unpack(data)
    return keras.utils.pack_x_y_sample_weight((x,), y, sample_weight)
