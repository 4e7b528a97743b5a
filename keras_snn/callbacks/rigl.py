"""RigL: the rigged lottery.

"Rigging the Lottery: Making All Tickets Winners",
https://arxiv.org/abs/1911.11134. At each update, in every layer, the active
weights of the smallest magnitude are dropped, and as many are grown where the
gradient of the loss is largest in magnitude, and start from 0. The share that
is dropped falls by a cosine, from 0.3 to none at three quarters of training.

With a pattern of constant fan-in, or N:M, it is SRigL: "Dynamic Sparse Training
with Structured Sparsity", https://arxiv.org/abs/2305.02299. The smallest of a
layer are dropped all the same, and each output, or each group of inputs, grows
as many as it lacks. With `ablate`, outputs of few salient weights lose all of
their inputs, and those that are left share the layer's count.

Differs from the papers: the optimizer takes the step whose gradient an update
looks at, as in the code of "Do We Actually Need Dense Over-Parameterization?",
https://arxiv.org/abs/2102.02887, where RigL's has the update in its place;
counts are rounded where RigL's are cut off. Where SRigL's code takes weights by
their place, ours takes them by magnitude: of an output that holds more than the
new fan-in the largest stay, and where those that are left hold fewer than are
kept, the gradient alone says what is grown.
"""

import dataclasses

import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.by_gradient import ByGradient
from keras_snn.patterns import AblatedFanIn
from keras_snn.patterns import ConstantFanIn


class RigLUpdate(ByGradient):
    """Drops the smallest weights, grows those of the largest gradient.

    Args:
        data: None (default) for the gradient that training takes: that of the
            step at which an update is due, which comes after it. Or training
            data to take gradients on: `(x, y)` or `(x, y, sample_weight)`,
            arrays of which each update draws a batch; a
            `keras.utils.PyDataset`; or any iterable of batches, such as a
            `tf.data.Dataset`, whose first are taken.
        interval: Steps between updates, an int >= 1. Defaults to 100.
        drop_fraction: Alpha: share of a layer's active weights that the first
            update drops, in (0, 1). Defaults to 0.3.
        decay: How `drop_fraction` falls to 0.001 at `end`: `"cosine"`
            (default), `"linear"`, `"inverse_power"`, which is cubic, or a
            number > 0, the exponent of another power. With `"constant"` it
            does not fall.
        unit: What `interval` counts: `"steps"` (default) or `"epochs"`.
        end: Share of training after which masks no longer change, in (0, 1].
            Defaults to 0.75.
        pattern: What masks are before and after each update: `"2:4"` and the
            like, or one of `keras_snn.patterns`. Defaults to any.
        batch_size: Rows drawn of `(x, y)`. Defaults to 128.
        batches: How many batches, or steps of training, an update looks at the
            mean gradient of, an int >= 1. Defaults to 1.
        loss: A Keras loss, or its name, for gradients on `data`. Defaults to
            the compiled one.
        seed: Int >= 0. The same seed draws the same rows on every backend and
            after a resume.
        grow_init: What grown weights start from: `"zeros"` (default),
            `"random_normal"`, of the standard deviation of the layer's weights,
            or `"random_uniform"`, within their mean magnitude.
        ablate: SRigL's gamma, in (0, 1], for a pattern of constant fan-in:
            outputs with fewer salient weights than this share of the fan-in
            that the layer began with, cut off to an int >= 1, lose all inputs
            at an update, and may win them back at a later one. Salient are the
            weights that an update would keep, and as many of the largest
            gradient as it drops. A layer's count stays what it was, but for a
            rest of less than one weight for each output that is left. The last
            masked layer keeps all outputs, other heads of a model do not. 0.3
            in the authors' configuration. Defaults to None: nothing is ablated.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs, or
            masks do not have the pattern, or `ablate` has none of constant
            fan-in.
        TypeError: If `data` are of another kind.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.9)
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=20, callbacks=[RigLUpdate()])
    ```
    """

    by_position = True

    def __init__(
        self,
        data=None,
        interval=100,
        *,
        drop_fraction=0.3,
        decay="cosine",
        unit="steps",
        end=0.75,
        pattern=None,
        batch_size=128,
        batches=1,
        loss=None,
        seed=0,
        grow_init="zeros",
        ablate=None,
    ):
        super().__init__(
            data,
            interval,
            drop_fraction=drop_fraction,
            decay=decay,
            unit=unit,
            end=end,
            pattern=pattern,
            batch_size=batch_size,
            batches=batches,
            loss=loss,
            seed=seed,
            grow_init=grow_init,
        )
        self.ablate = ablate
        if ablate is not None:
            self.pattern = _ablated(self.pattern, ablate)

    def prune(self, weights, before, updates, progress):
        if self.ablate is None:
            return updates
        fraction = self.fraction_at(progress)
        last = list(before)[-1]
        return {
            path: update if path == last else self._ablating(update, fraction)
            for path, update in updates.items()
        }

    def _ablating(self, update, fraction):
        """The update, its pattern bound to the outputs that are left."""
        pattern, mask = update.pattern, update.mask
        dropped = self.count(update, fraction)
        kept = pattern.drop_lowest(np.abs(update.weight), mask, dropped)
        salient = pattern.per_output(
            kept | masks.top_k(np.abs(update.gradient), dropped)
        )
        fan_in, outputs = pattern.fan_in(mask), salient.size
        # So many outputs, dense, could not hold the layer's count.
        too_few = fan_in * outputs // (mask.size // outputs)
        needed = np.sort(salient)[::-1][too_few]
        needed = min(needed, max(int(self.ablate * fan_in), 1))
        left = dataclasses.replace(pattern, left=salient >= needed)
        return dataclasses.replace(update, pattern=left)

    def grow(self, update, mask, count):
        scores = np.abs(update.gradient)
        return update.pattern.grow_highest(scores, mask, count)

    def grow_at(self, update, positions, count):
        scores = ((begin, np.abs(g)) for begin, g in update.gradient)
        return masks.grown_by_score(positions, scores, count)

    def get_config(self):
        """The arguments but for the data, which no config can hold."""
        return {**super().get_config(), "ablate": self.ablate}


def _ablated(pattern, ablate):
    number = isinstance(ablate, (int, float)) and not isinstance(ablate, bool)
    if not number or not 0 < ablate <= 1:
        raise ValueError(
            "Argument `ablate` must be in (0, 1], a share of an output's "
            f"inputs, or None. Received: {ablate=}"
        )
    if not isinstance(pattern, ConstantFanIn):
        raise ValueError(
            "Argument `ablate` takes outputs out of a constant fan-in: give "
            f"`pattern=ConstantFanIn()`. Received: {pattern=}"
        )
    return AblatedFanIn(pattern.inputs)
