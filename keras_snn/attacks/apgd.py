"""APGD: Auto-PGD, projected gradient ascent that sets its own step size.

Croce and Hein, 2020, "Reliable evaluation of adversarial robustness with an
ensemble of diverse parameter-free attacks", https://arxiv.org/abs/2003.01690.
With the step size at 2 * eps to begin with, P the projection and d the
direction of steepest ascent,

    z      <- P(x_k + step_size * d)
    x_k+1  <- P(x_k + 0.75 * (z - x_k) + 0.25 * (x_k - x_k-1))

and at checkpoints, further apart at first, the step size of an image halves,
and it goes on from the best point so far, where

    1. the loss rose in no more than `rho` of the steps since the last, or
    2. neither step size nor best loss have changed since the last.

Differs from the paper: the first condition holds also where the two are equal,
and of the adversarial examples found the last is returned, as in the authors'
code.
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

MOMENTUM = 0.75
LOSSES = {"ce": logit_losses.cross_entropy, "dlr": logit_losses.dlr}


@keras.saving.register_keras_serializable(package="keras_snn")
class APGD(LogitAttack):
    """Auto-PGD on the cross-entropy, or the Difference of Logits Ratio.

    Args:
        eps: Radius of the ball, in units of pixels in [0, 1].
        norm: `"linf"`, the largest change of any pixel, or `"l2"`, the
            Euclidean length of the change of an image.
        loss: `"ce"`, the cross-entropy, or `"dlr"`, the Difference of Logits
            Ratio, which needs 3 classes, and whose gradient does not vanish
            where a network is sure.
        steps: Number of steps, at least 1.
        restarts: From how many random starts to ascend, at least 1.
        eot: Over how many passes to average each gradient, at least 1: more
            than one for a model that is random (Expectation Over
            Transformation, https://arxiv.org/abs/1707.07397).
        rho: In which fraction of steps the loss must rise, in (0, 1).
        seed: Seed of the random starts, an integer.

    Example:

    ```python
    x_adv = APGD(eps=8 / 255, loss="dlr")(model, x, y)
    ```

    Reference:
        [Reliable evaluation of adversarial robustness with an ensemble of
        diverse parameter-free attacks](https://arxiv.org/abs/2003.01690)
    """

    def __init__(
        self,
        eps=8 / 255,
        *,
        norm="linf",
        loss="ce",
        steps=100,
        restarts=1,
        eot=1,
        rho=0.75,
        seed=0,
    ):
        counts = {"steps": steps, "restarts": restarts, "eot": eot}
        super().__init__(eps, norm=norm, seed=seed, **counts)
        if loss not in LOSSES:
            raise ValueError(
                f"Argument `loss` must be one of {sorted(LOSSES)}, or there "
                f"is nothing to raise. Received: loss={loss!r}"
            )
        if not 0 < rho < 1:
            raise ValueError(
                "Argument `rho` must be in (0, 1), or the step size halves "
                f"always or never. Received: rho={rho}"
            )
        self.loss = loss
        self.rho = float(rho)
        self.least_classes = 2 if loss == "ce" else 3

    def _attack(self, images):
        for start in range(self.restarts):
            self._run(images, LOSSES[self.loss], images.y, start)

    def _run(self, images, loss, labels, run):
        """Ascend once from a random start, for all that is still right."""
        for rows in images.batches():
            x = tensor(images.x[rows])
            start = in_ball(self.norm, [self.seed, run], rows, x.shape[1:])
            gradient = functools.partial(
                self._gradient, images.network, loss, tensor(labels[rows]), run
            )
            truth = tensor(images.y[rows])
            images.keep(rows, self._ascend(gradient, x, truth, start))

    def _gradient(self, network, loss, labels, run, step, x):
        """The mean gradient, and losses and outputs of the last pass."""
        total = 0.0
        for number in range(self.eot):
            seed = [self.seed, run, step, number] if self.eot > 1 else None
            gradient, values, outputs = network.gradient(loss, x, labels, seed)
            total = total + gradient
        return total / self.eot, values, outputs

    def _ascend(self, gradient, x, y, start):
        step, note, halve = _compiled(self.norm)
        eps = tensor(self.eps)
        first = ops.clip(x + eps * start, 0.0, 1.0)
        slopes, values, outputs = gradient(0, first)
        ones = (1,) * (len(x.shape) - 1)
        state = {
            "x": first,
            "previous": first,
            "gradient": slopes,
            "loss": values,
            "adversarial": first,
            "wrong": losses.is_wrong(y, outputs),
            "best": first,
            "best_gradient": slopes,
            "best_loss": values,
            "step_size": ops.full((x.shape[0], *ones), 2 * self.eps),
            "rises": ops.zeros_like(values),
            "halved": ops.ones_like(values, "bool"),
            "checked_loss": values,
        }
        windows = self._windows()
        since = 0
        for number in range(self.steps):
            momentum = tensor(MOMENTUM if number else 1.0)
            moved = step(x, eps, momentum, state)
            state = note(state, moved, *gradient(number + 1, moved), y)
            since += 1
            if since == windows[0]:
                state = halve(state, tensor(self.rho * windows.pop(0)))
                since = 0
                if ops.convert_to_numpy(state["wrong"]).all():
                    break
        return state["adversarial"]

    def _windows(self):
        """Numbers of steps between checkpoints."""
        window = max(int(0.22 * self.steps), 1)
        least = max(int(0.06 * self.steps), 1)
        shorter = max(int(0.03 * self.steps), 1)
        windows = []
        while sum(windows) <= self.steps:
            windows.append(window)
            window = max(window - shorter, least)
        return windows

    def get_config(self):
        """The arguments, for Keras to save."""
        return {
            **super().get_config(),
            "loss": self.loss,
            "rho": self.rho,
        }


@keras.saving.register_keras_serializable(package="keras_snn")
class TargetedAPGD(APGD):
    """APGD-T: Auto-PGD on the targeted DLR loss, target after target.

    The targets of an image are the classes that are likeliest after its own,
    one run each. Needs 4 classes.

    Args:
        eps: Radius of the ball, in units of pixels in [0, 1].
        norm: `"linf"` or `"l2"`, as for `APGD`.
        targets: How many targets to try; all where there are no more.
        steps: Number of steps for each target, at least 1.
        eot: Over how many passes to average each gradient, as for `APGD`.
        rho: In which fraction of steps the loss must rise, in (0, 1).
        seed: Seed of the random starts, an integer.

    Example:

    ```python
    x_adv = TargetedAPGD(eps=8 / 255)(model, x, y)
    ```

    Reference:
        [Reliable evaluation of adversarial robustness with an ensemble of
        diverse parameter-free attacks](https://arxiv.org/abs/2003.01690)
    """

    def __init__(
        self,
        eps=8 / 255,
        *,
        norm="linf",
        targets=9,
        steps=100,
        eot=1,
        rho=0.75,
        seed=0,
    ):
        super().__init__(
            eps, norm=norm, steps=steps, eot=eot, rho=rho, seed=seed
        )
        checks.check_integer("targets", targets, 1, "or nothing is attacked")
        self.targets = int(targets)
        self.least_classes = 4

    def _attack(self, images):
        for rank in range(1, min(self.targets + 1, images.network.classes)):
            labels = np.stack([images.y, images.ranking[:, rank]], axis=1)
            self._run(images, logit_losses.targeted_dlr, labels, rank)

    def get_config(self):
        """The arguments, for Keras to save."""
        config = {**super().get_config(), "targets": self.targets}
        return {k: config[k] for k in config if k not in ("loss", "restarts")}


@functools.cache
def _compiled(norm):
    step = functools.partial(_step, NORMS[norm])
    return backend.jit(step), backend.jit(_note), backend.jit(_halve)


def _step(norm, x, eps, momentum, state):
    """The next point of each image."""

    def within(images):
        return ops.clip(x + norm.project(images - x, eps), 0.0, 1.0)

    here = state["x"]
    ascent = norm.steepest(state["gradient"])
    ahead = within(here + state["step_size"] * ascent)
    drift = (1.0 - momentum) * (here - state["previous"])
    return within(here + momentum * (ahead - here) + drift)


def _note(state, x, gradient, loss, outputs, y):
    """The state after a step to `x`."""
    wrong = losses.is_wrong(y, outputs)
    better = loss > state["best_loss"]
    return {
        **state,
        "x": x,
        "previous": state["x"],
        "gradient": gradient,
        "loss": loss,
        "adversarial": _where(wrong, x, state["adversarial"]),
        "wrong": wrong | state["wrong"],
        "best": _where(better, x, state["best"]),
        "best_gradient": _where(better, gradient, state["best_gradient"]),
        "best_loss": ops.where(better, loss, state["best_loss"]),
        "rises": state["rises"] + ops.cast(loss > state["loss"], "float32"),
    }


def _halve(state, least_rises):
    """The state after a checkpoint."""
    idle = ~state["halved"] & (state["checked_loss"] >= state["best_loss"])
    halved = idle | (state["rises"] <= least_rises)
    size = state["step_size"]
    return {
        **state,
        "x": _where(halved, state["best"], state["x"]),
        "gradient": _where(halved, state["best_gradient"], state["gradient"]),
        "step_size": _where(halved, size / 2.0, size),
        "rises": ops.zeros_like(state["rises"]),
        "halved": halved,
        "checked_loss": state["best_loss"],
    }


def _where(rows, x, y):
    ones = (1,) * (len(x.shape) - 1)
    return ops.where(ops.reshape(rows, (-1, *ones)), x, y)
