"""Flying Bird and Flying Bird+: sparse networks that adversaries overfit less.

"Sparsity Winning Twice: Better Robust Generalization from More Efficient
Training", https://arxiv.org/abs/2202.09844. Flying Bird drops and grows during
adversarial training, as RigL does. Flying Bird+ lets training say how sparse
the network is, in its second half: where, of the last epochs, the gap between
the adversarial accuracies of training and validation has widened in half or
more, each update drops more than it grows; where the adversarial loss of
validation has not fallen in as many, it grows more.

Differs from the authors' code: weights grow by gradient by default, and at
random as in its scripts by `growth="random"`, there as many as asked for, where
the code draws each with a probability; `interval` stays the same, where the
scripts go from 900 steps to 1200 in the second half of training; the share that
is dropped falls to 0.001 and not to 0.005, and counts are rounded where the
code rounds up. It begins with masks of another distribution, IGQ.
"""

import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.by_gradient import ByGradient
from keras_snn.checks import check_integer
from keras_snn.checks import check_number
from keras_snn.masking.mask_state import method_state

GROWTHS = ("gradient", "random")


class FlyingBirdUpdate(ByGradient):
    """Drops the smallest weights, grows others, and more or fewer if told to.

    In an `AdversarialModel`, gradients are those of attacked images.

    Args:
        data: None (default) for the gradient of training, or data to take it
            on, as for `RigLUpdate`.
        interval: Steps between updates, an int >= 1. Defaults to 900.
        drop_fraction: Share of a layer's active weights that the first update
            drops, in (0, 1). Defaults to 0.5.
        decay: How `drop_fraction` falls to 0.001 at `end`: `"cosine"`
            (default), `"linear"`, `"inverse_power"`, which is cubic, or a
            number > 0, the exponent of another power. With `"constant"` it
            does not fall.
        unit: What `interval` counts: `"steps"` (default) or `"epochs"`.
        end: Share of training after which masks no longer change, in (0, 1].
            Defaults to 1: they change until the end.
        growth: Where weights are grown: `"gradient"` (default), where it is
            largest, or `"random"`.
        monitor: For Flying Bird+, three names of the `logs` of each epoch: the
            accuracies of training and of validation, and the loss of
            validation. In adversarial training, `("accuracy",
            "val_adversarial_accuracy", "val_adversarial_loss")`, where an
            `AdversarialValidation` comes before this callback. Defaults to
            None: Flying Bird, where sparsity stays as it is.
        begin: Share of training from which on sparsity changes, in [0, 1).
            Defaults to 0.5.
        window: Epochs looked back at, an int >= 1. Defaults to 4.
        threshold: Share of them that must be worse than the one before, in
            (0, 1]. Defaults to 0.5.
        extra_drop: How much more is dropped where the gap widens, as a share of
            what is dropped, >= 0. Defaults to 0.4.
        extra_growth: How much more is grown where the loss does not fall, as a
            share of what is dropped otherwise, >= 0. Defaults to 0.05.
        batch_size: Rows drawn of `(x, y)`. Defaults to 128.
        batches: As for `RigLUpdate`. Defaults to 1.
        loss: As for `RigLUpdate`.
        seed: Int >= 0, as for `RigLUpdate`.
        grow_init: As for `RigLUpdate`.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs; or,
            at the end of an epoch, if its logs lack what `monitor` names.
        TypeError: If `data` are of another kind.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.8)
    attack = PGD(eps=8 / 255, step_size=2 / 255, steps=10)
    robust = AdversarialModel(model, attack)
    robust.compile("sgd", loss, metrics=["accuracy"])
    monitor = "accuracy", "val_adversarial_accuracy", "val_adversarial_loss"
    callbacks = [
        AdversarialValidation(attack, *validation),
        FlyingBirdUpdate(monitor=monitor),
    ]
    robust.fit(x, y, epochs=200, callbacks=callbacks)
    ```
    """

    def __init__(
        self,
        data=None,
        interval=900,
        *,
        drop_fraction=0.5,
        decay="cosine",
        unit="steps",
        end=1.0,
        growth="gradient",
        monitor=None,
        begin=0.5,
        window=4,
        threshold=0.5,
        extra_drop=0.4,
        extra_growth=0.05,
        batch_size=128,
        batches=1,
        loss=None,
        seed=0,
        grow_init="zeros",
    ):
        super().__init__(
            data,
            interval,
            drop_fraction=drop_fraction,
            decay=decay,
            unit=unit,
            end=end,
            batch_size=batch_size,
            batches=batches,
            loss=loss,
            seed=seed,
            grow_init=grow_init,
        )
        if growth not in GROWTHS:
            raise ValueError(
                f"Argument `growth` must be one of {list(GROWTHS)}. "
                f"Received: {growth=}"
            )
        if monitor is not None and (
            isinstance(monitor, str) or len(monitor) != 3
        ):
            raise ValueError(
                "Argument `monitor` must be three names of an epoch's logs, "
                "training's accuracy, validation's and its loss, or None. "
                f"Received: {monitor=}"
            )
        for name, value, within in (
            ("begin", begin, lambda v: 0 <= v < 1),
            ("threshold", threshold, lambda v: 0 < v <= 1),
            ("extra_drop", extra_drop, lambda v: v >= 0),
            ("extra_growth", extra_growth, lambda v: v >= 0),
        ):
            check_number(name, value, "a share")
            if not within(value):
                raise ValueError(
                    "Arguments `begin` in [0, 1), `threshold` in (0, 1], "
                    "`extra_drop` and `extra_growth` >= 0 say when sparsity "
                    f"changes, and by how much. Received: {name}={value!r}"
                )
        check_integer("window", window, 1, "or there is nothing to look at")
        self.growth = growth
        self.monitor = None if monitor is None else list(monitor)
        self.begin = begin
        self.window = window
        self.threshold = threshold
        self.extra_drop = extra_drop
        self.extra_growth = extra_growth

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self.monitor is None or logs is None:
            return
        if not set(self.monitor) <= set(logs):
            raise ValueError(
                "Argument `monitor` names what each epoch's logs must have by "
                "then, or nothing tells how sparse to be: put the callback "
                "that adds it first, and compile with the metric. Received: "
                f"monitor={self.monitor}, and logs of {sorted(logs)}"
            )
        self.note(self.model, *(logs[name] for name in self.monitor))

    def note(self, model, accuracy, val_accuracy, val_loss):
        """Notes how an epoch went: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model with masks.
            accuracy: Accuracy of training.
            val_accuracy: Accuracy of validation.
            val_loss: Loss of validation.
        """
        state = method_state(model)
        for name, value in (
            ("gaps", accuracy - val_accuracy),
            ("losses", val_loss),
        ):
            noted = np.append(state.get(name, ()), float(value))
            state[name] = noted[-self.window - 1 :]

    def update(self, model, step, progress, *, gradients=None, optimizer=None):
        state = method_state(model)
        gap, loss = (np.diff(state.get(n, ())) for n in ("gaps", "losses"))
        self._widens = self._often(gap > 0)
        self._stays = self._often(loss >= 0)
        super().update(
            model, step, progress, gradients=gradients, optimizer=optimizer
        )

    def _often(self, worse):
        return worse.size > 0 and worse.mean() >= self.threshold

    def prune(self, weights, before, updates, progress):
        begun = self.monitor is not None and progress >= self.begin
        self._fraction = self.fraction_at(progress)
        self._more = 1 + self.extra_drop * (begun and self._widens)
        self._regrown = 1 + self.extra_growth * (begun and self._stays)
        return updates

    def drop(self, update, fraction):
        return super().drop(update, fraction * self._more)

    def shares(self, updates, dropped):
        return {
            path: min(
                int(self.count(update, self._fraction) * self._regrown),
                int(np.count_nonzero(~dropped[path])),
            )
            for path, update in updates.items()
        }

    def grow(self, update, mask, count):
        if self.growth == "random":
            return masks.grow_random(mask, count, update.rng)
        return masks.grow_highest(np.abs(update.gradient), mask, count)

    def get_config(self):
        """The arguments but for the data, which no config can hold."""
        config = {
            **super().get_config(),
            "growth": self.growth,
            "monitor": self.monitor,
            "begin": self.begin,
            "window": self.window,
            "threshold": self.threshold,
            "extra_drop": self.extra_drop,
            "extra_growth": self.extra_growth,
        }
        del config["pattern"]  # Counts change, and so would a pattern.
        return config
