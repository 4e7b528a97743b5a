"""What attacks on logits share: run after run on what is still right."""

import numpy as np
from keras import ops

from keras_snn import backend
from keras_snn import checks
from keras_snn.attacks import logit_losses
from keras_snn.attacks.image_gradient import compiled_image_gradient
from keras_snn.attacks.image_gradient import compiled_outputs
from keras_snn.attacks.image_gradient import reseeded_values
from keras_snn.attacks.image_gradient import variable_values
from keras_snn.attacks.norms import NORMS
from keras_snn.attacks.norms import check_ball


class LogitAttack:
    """Attacks logits in inference mode, image after image, until all is tried.

    A base class: see `APGD`, `TargetedAPGD`, `FAB`, `Square` and `AutoAttack`.
    It alters nothing of the model. An image is attacked only until its
    prediction is wrong; random draws depend on `seed` and the image's place
    in `x` alone, neither on the batch size nor on the backend.

    A model may output logits or probabilities; attacked are, of these, the
    logarithms, which are logits, too, while no probability is zero.

    Args:
        eps: Radius of the ball, in units of pixels in [0, 1].
        norm: `"linf"` or `"l2"`: what measures the radius.
        seed: Seed of all random draws, an integer.
        **counts: What an attack counts, each an integer, at least 1.
    """

    # How many classes the attack must have to choose from.
    least_classes = 2

    def __init__(self, eps, *, norm="linf", seed=0, **counts):
        check_ball(eps, norm)
        if eps == 0:
            raise ValueError(
                "Argument `eps` must be positive, or there is nothing to "
                f"search. Received: eps={eps}"
            )
        checks.check_integer("seed", seed, 0, "to draw the same again")
        self.eps = float(eps)
        self.norm = norm
        self.seed = int(seed)
        self._counts = tuple(counts)
        for name, count in counts.items():
            checks.check_integer(name, count, 1, "or nothing is attacked")
            setattr(self, name, int(count))

    def __call__(self, model, x, y, *, batch_size=128):
        """Attack a model's predictions of images.

        Args:
            model: A built Keras model, with one output of shape (n, classes),
                logits or probabilities.
            x: Images, floats in [0, 1], of shape (n, ...).
            y: True classes: integers, of shape (n,) or (n, 1), or one-hot, of
                shape (n, classes).
            batch_size: How many images go through the model at once. Where
                code is compiled, on TensorFlow and JAX, a batch with fewer is
                filled up, so that nothing is compiled anew.

        Returns:
            A float32 array shaped as `x`, in [0, 1] and within `eps` of `x`:
            the images that get a wrong class, and where none was found, those
            of `x`.

        Raises:
            ValueError: If the model is not built or has too few classes, its
                outputs are not what its loss takes them for, or images or
                labels are not as above.
        """
        checks.check_integer("batch_size", batch_size, 1, "to do any work")
        checks.check_built(model)
        x = checks.check_images(x)
        y = checks.check_labels(y, x, model)
        self._check_shape(x)
        x = x.astype("float32")
        network = Network(model, x[:batch_size])
        if network.classes < self.least_classes:
            raise ValueError(
                f"Argument `model` must have at least {self.least_classes} "
                f"classes, or {type(self).__name__} has no logits to compare; "
                "APGD with the cross-entropy, FAB and Square need only 2. "
                f"Received: model={model.name}, of {network.classes} classes"
            )
        self._check_network(network, x[:batch_size], y)
        y = y.argmax(axis=1) if y.ndim == 2 else y
        images = Images(network, x, y.astype(int), batch_size)
        self._attack(images)
        return images.x_adv

    def _check_shape(self, x):
        """Refuse images that this attack does not know how to change."""

    def _check_network(self, network, x, y):
        """Refuse a network that this attack says nothing about."""

    def _attack(self, images):
        """Attack what is still right: for subclasses."""
        raise NotImplementedError

    def get_config(self):
        """The arguments, for Keras to save."""
        names = ("eps", "norm", "seed", *self._counts)
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config):
        """Build from what `get_config` returned."""
        return cls(**config)


class Network:
    """The logits of a model with its present weights, compiled.

    Args:
        model: A built Keras model.
        x: Some images, an array.
    """

    def __init__(self, model, x):
        self.model = model
        self._state = variable_values(model)
        self._outputs = compiled_outputs(model)
        self._gradients = {}
        outputs = self._outputs(self._state, tensor(x))
        self.classes = outputs.shape[-1]
        self.probabilities = logit_losses.are_probabilities(outputs, model)

    def logits(self, x, seed=None):
        """Logits of a tensor of images, in float32.

        Args:
            x: The images.
            seed: Of what is random in the model; None for its present seeds.
        """
        outputs = self._outputs(self._seeded(seed), x)
        if self.probabilities:
            return logit_losses.logarithm(outputs)
        return ops.cast(outputs, "float32")

    def gradient(self, loss, x, y, seed=None):
        """Gradients, losses, and logits or probabilities, of images.

        Args:
            loss: One of `logit_losses`.
            x: Tensor of the images.
            y: Float tensor of what the loss takes for labels.
            seed: Of what is random in the model; None for its present seeds.
        """
        if loss not in self._gradients:
            known = logit_losses.of_probabilities
            self._gradients[loss] = compiled_image_gradient(
                self.model,
                known(loss) if self.probabilities else loss,
                False,
                len(y.shape),
            )
        return self._gradients[loss](self._seeded(seed), x, y)

    def _seeded(self, seed):
        return (
            self._state if seed is None else reseeded_values(self.model, seed)
        )


class Images:
    """Images on their way through attacks.

    Args:
        network: The `Network`.
        x: Images, a float32 array.
        y: Their classes, an array of integers.
        batch_size: How many are attacked at once.
    """

    def __init__(self, network, x, y, batch_size):
        self.network = network
        self.x = x
        self.y = y
        self.x_adv = x.copy()
        self._size = min(batch_size, len(x))
        logits = np.concatenate(
            [
                ops.convert_to_numpy(network.logits(tensor(x[rows])))[:count]
                for rows, count in self._in_batches(np.arange(len(x)))
            ]
        )
        # Classes from the likeliest to the least likely.
        self.ranking = np.argsort(-logits, axis=1, kind="stable")
        self.right = self.ranking[:, 0] == y

    def batches(self):
        """Rows of all images that are still right, a batch at a time."""
        for rows, _ in self._in_batches(np.flatnonzero(self.right)):
            yield rows

    def keep(self, rows, changed):
        """Keep the changed images that get a wrong class."""
        logits = ops.convert_to_numpy(self.network.logits(changed))
        wrong = logits.argmax(axis=1) != self.y[rows]
        self.x_adv[rows[wrong]] = ops.convert_to_numpy(changed)[wrong]
        self.right[rows[wrong]] = False

    def accuracy(self):
        """The fraction of images that are still right."""
        return float(self.right.mean())

    def _in_batches(self, rows):
        for start in range(0, len(rows), self._size):
            batch = rows[start : start + self._size]
            size = self._size if backend.COMPILES else len(batch)
            yield np.resize(batch, size), len(batch)


def tensor(array):
    """A float32 tensor."""
    return ops.convert_to_tensor(array, "float32")


def draws(kind, seed, rows, shape):
    """Random numbers of some images, each from a generator of its own.

    Args:
        kind: Name of the distribution, as a method of NumPy's generators.
        seed: A list of integers, with which the image's row makes the seed.
        rows: The images' rows.
        shape: Of what is drawn for one.

    Returns:
        A float32 array of shape (n, *shape).
    """
    result = np.empty((len(rows), *shape), "float32")
    for drawn, row in zip(result, rows, strict=True):
        random = getattr(np.random.default_rng([*seed, row]), kind)
        drawn[...] = random(size=shape)
    return result


def in_ball(norm, seed, rows, shape):
    """Points drawn uniformly from the unit ball, a tensor (n, *shape)."""

    def draw(full):
        return tensor(draws(NORMS[norm].distribution, seed, rows, full[1:]))

    return NORMS[norm].unit_ball(draw, (len(rows), *shape))
