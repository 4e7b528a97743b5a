"""FAB: the Fast Adaptive Boundary attack.

Croce and Hein, 2020, "Minimally distorted Adversarial Examples with a Fast
Adaptive Boundary Attack", https://arxiv.org/abs/1907.02044. Where the logits
are taken for linear, the boundary to another class is a hyperplane. With d_k
the shortest change that brings x_k onto it without leaving [0, 1], and d_0 that
of the image x_0,

    x_k+1 <- (1 - a) * (x_k + eta * d_k) + a * (x_0 + eta * d_0),
    a = min(|d_k| / (|d_k| + |d_0|), alpha_max)

and from wherever the class is wrong, back towards the image:

    x_k+1 <- x_0 + beta * (x_k+1 - x_0)

Differs from the paper: returned are changes no longer than `eps`, as AutoAttack
asks for; no final search along the line to the image. The projection onto the
hyperplane is by Newton's method in place of sorting: both find the same.
"""

import functools

import keras
import numpy as np
from keras import ops

from keras_snn import backend
from keras_snn import checks
from keras_snn.attacks import logit_losses
from keras_snn.attacks import losses
from keras_snn.attacks.logit_attack import LogitAttack
from keras_snn.attacks.logit_attack import in_ball
from keras_snn.attacks.logit_attack import tensor
from keras_snn.attacks.norms import NORMS

NEWTON_STEPS = 12
TINY = 1e-12


@keras.saving.register_keras_serializable(package="keras_snn")
class FAB(LogitAttack):
    """Steps along the decision boundary, ever closer to the image.

    Looks for the shortest change that makes the class wrong, whatever `eps`;
    what is longer counts for nothing in the end.

    Args:
        eps: Radius of the ball, in units of pixels in [0, 1].
        norm: `"linf"`, the largest change of any pixel, or `"l2"`, the
            Euclidean length of the change of an image.
        targets: FAB-T: towards how many other classes, from the likeliest on,
            one run each. None for FAB: always towards the nearest boundary,
            which takes a gradient for each other class in each step.
        steps: Number of steps in each run, at least 1.
        restarts: How many runs, at least 1: the first from the image itself,
            others from a random point of half the ball.
        alpha_max: How far to be drawn towards the image, in [0, 1].
        eta: How far to overshoot the boundary, at least 1.
        beta: How much is left of a change that goes back, in (0, 1).
        seed: Seed of the random starts, an integer.

    Example:

    ```python
    x_adv = FAB(eps=8 / 255, targets=9)(model, x, y)
    ```

    Reference:
        [Minimally distorted Adversarial Examples with a Fast Adaptive
        Boundary Attack](https://arxiv.org/abs/1907.02044)
    """

    def __init__(
        self,
        eps=8 / 255,
        *,
        norm="linf",
        targets=None,
        steps=100,
        restarts=1,
        alpha_max=0.1,
        eta=1.05,
        beta=0.9,
        seed=0,
    ):
        counts = {"steps": steps, "restarts": restarts}
        super().__init__(eps, norm=norm, seed=seed, **counts)
        if targets is not None:
            checks.check_integer("targets", targets, 1, "or None for all")
        for name, value, valid in (
            ("alpha_max", alpha_max, 0 <= alpha_max <= 1),
            ("eta", eta, 1 <= eta < float("inf")),
            ("beta", beta, 0 < beta < 1),
        ):
            if not valid:
                raise ValueError(
                    "Arguments `alpha_max`, `eta` and `beta` must be in "
                    "[0, 1], [1, inf) and (0, 1), or steps lead away from the "
                    f"boundary or the image. Received: {name}={value}"
                )
        self.targets = targets
        self.alpha_max = float(alpha_max)
        self.eta = float(eta)
        self.beta = float(beta)

    def _attack(self, images):
        others = images.network.classes - 1
        if self.targets is None:
            near = [(images.y + k) % (others + 1) for k in range(1, others + 1)]
            runs = [near]
        else:
            last = min(self.targets, others)
            runs = [[images.ranking[:, k]] for k in range(1, last + 1)]
        for run, targets in enumerate(runs):
            pairs = [np.stack([images.y, target], axis=1) for target in targets]
            for restart in range(self.restarts):
                self._run(images, pairs, [self.seed, run, restart])

    def _run(self, images, pairs, seed):
        """Search once, for all that is still right."""
        restarted = seed[-1] > 0
        for rows in images.batches():
            x = tensor(images.x[rows])
            start = x
            if restarted:
                point = in_ball(self.norm, seed, rows, x.shape[1:])
                start = ops.clip(x + self.eps / 2 * point, 0.0, 1.0)
            labels = [tensor(pair[rows]) for pair in pairs]
            images.keep(rows, self._search(images.network, x, start, labels))

    def _search(self, network, x, here, labels):
        nearer, step, note = _compiled(self.norm)
        constants = [tensor(v) for v in (self.alpha_max, self.eta, self.beta)]
        best = x
        ones = (1,) * (len(x.shape) - 1)
        shortest = ops.full((x.shape[0], *ones), float("inf"))
        for _ in range(self.steps):
            gradient, lead, _ = network.gradient(
                logit_losses.lead, here, labels[0]
            )
            for pair in labels[1:]:
                other = network.gradient(logit_losses.lead, here, pair)
                gradient, lead = nearer(gradient, lead, *other[:2])
            here = step(x, here, gradient, lead, *constants[:2])
            wrong = losses.is_wrong(labels[0][:, 0], network.logits(here))
            here, best, shortest = note(
                x, here, wrong, best, shortest, constants[2]
            )
        return ops.where(shortest <= self.eps, best, x)

    def get_config(self):
        """The arguments, for Keras to save."""
        return {
            **super().get_config(),
            "targets": self.targets,
            "alpha_max": self.alpha_max,
            "eta": self.eta,
            "beta": self.beta,
        }


@functools.cache
def _compiled(norm):
    norm = NORMS[norm]
    functions = [functools.partial(f, norm) for f in (_nearer, _step, _note)]
    return [backend.jit(function) for function in functions]


def _nearer(norm, gradient, lead, other_gradient, other_lead):
    """Of two hyperplanes, that which is nearer."""
    nearer = _distance(norm, other_gradient, other_lead) < _distance(
        norm, gradient, lead
    )
    ones = (1,) * (len(gradient.shape) - 1)
    return (
        ops.where(ops.reshape(nearer, (-1, *ones)), other_gradient, gradient),
        ops.where(nearer, other_lead, lead),
    )


def _distance(norm, gradient, lead):
    axes = tuple(range(1, len(gradient.shape)))
    slope = ops.sum(gradient * norm.steepest(gradient), axis=axes)
    return ops.abs(lead) / (slope + TINY)


def _step(norm, x, here, gradient, lead, alpha_max, eta):
    """The next point of each image."""
    lead = ops.reshape(lead, (-1, *(1,) * (len(x.shape) - 1)))
    lead_of_image = lead + _inner(gradient, x - here)
    change, change_of_image = ops.split(
        to_hyperplane(
            norm,
            ops.concatenate([here, x]),
            ops.concatenate([gradient, gradient]),
            ops.concatenate([lead, lead_of_image]),
        ),
        2,
    )
    length = ops.maximum(norm.length(change), 1e-8)
    length_of_image = ops.maximum(norm.length(change_of_image), 1e-8)
    alpha = ops.minimum(length / (length + length_of_image), alpha_max)
    ahead = (1.0 - alpha) * (here + eta * change)
    return ops.clip(ahead + alpha * (x + eta * change_of_image), 0.0, 1.0)


def _note(norm, x, here, wrong, best, shortest, beta):
    """The next point, and the best adversarial example so far."""
    length = norm.length(here - x)
    wrong = ops.reshape(wrong, (-1, *(1,) * (len(x.shape) - 1)))
    shorter = wrong & (length < shortest)
    best = ops.where(shorter, here, best)
    shortest = ops.where(shorter, length, shortest)
    return ops.where(wrong, x + beta * (here - x), here), best, shortest


def to_hyperplane(norm, x, gradient, value):
    """The shortest change that makes a linear function zero, within [0, 1].

    It moves each pixel by its rate times one length, until there is no room.
    What that gains is concave in the length and linear between pixels' ends,
    so that Newton's method never goes too far, and is exact after few steps.

    Args:
        norm: What measures the change.
        x: The points, in [0, 1].
        gradient: The functions' gradients, shaped as `x`.
        value: The functions at `x`, of shape (n, 1, ...).

    Returns:
        The changes; where there is no such point, as far as can be.
    """
    towards = ops.where(value < 0, gradient, -gradient)
    slopes = ops.abs(gradient)
    rates = ops.abs(norm.steepest(gradient))
    room = ops.where(towards > 0, 1.0 - x, x)
    length = ops.zeros_like(value)
    for _ in range(NEWTON_STEPS):
        gain = _inner(slopes, ops.minimum(length * rates, room))
        slope = _inner(slopes, ops.where(length * rates < room, rates, 0.0))
        lacks = ops.maximum(ops.abs(value) - gain, 0.0)
        length = length + ops.where(slope > 0, lacks / (slope + TINY), 0.0)
    return ops.sign(towards) * ops.minimum(length * rates, room)


def _inner(x, y):
    axes = tuple(range(1, len(x.shape)))
    return ops.sum(x * y, axis=axes, keepdims=True)
