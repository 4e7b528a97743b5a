"""MEST: memory-economic sparse training.

"MEST: Accurate and Fast Memory-Economic Sparse Training Framework on the
Edge", https://arxiv.org/abs/2110.14032. Elastic mutation: at each update, in
every layer, the active weights of the lowest

    |w| + lambda |dL/dw|

are dropped, and as many are grown at random; the share falls over training.
With the soft memory bound, a layer holds more weights than its final count, so
that new ones are trained before they are judged, and sheds them at the end.

Differs from the paper: the share falls by a cosine, not in stages; what the
soft bound adds stays the same until it goes; lambda of 0.01 is our choice, 0 is
the code's. What is dropped and grown at once keeps its value, as in the other
methods, where the code starts it from 0.
"""

import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.by_gradient import ByGradient
from keras_snn.callbacks.bases.frozen import sparsity_beside
from keras_snn.checks import check_number
from keras_snn.choosing.by_score import active_masks
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import sparsity
from keras_snn.masking.set_masks import set_masks


class MESTUpdate(ByGradient):
    """Drops by weight and gradient, grows at random.

    Args:
        data: None (default) for the gradient of training, or data to take it
            on, as for `RigLUpdate`.
        interval: Epochs between updates, an int >= 1. Defaults to 2.
        gradient_weight: Lambda, >= 0. Defaults to 0.01.
        final_sparsity: The soft memory bound: the sparsity from `end` on, in
            [0, 1), above that of the masks to begin with. Every layer sheds
            the same share, but frozen ones, which keep what they have.
            Defaults to None: sparsity stays as it is.
        drop_fraction: Share of a layer's active weights that the first update
            mutates, in (0, 1). Defaults to 0.3.
        decay: How `drop_fraction` falls to 0.001 at `end`: `"cosine"`
            (default), `"linear"`, `"inverse_power"`, which is cubic, or a
            number > 0, the exponent of another power. With `"constant"` it
            does not fall.
        unit: What `interval` counts: `"epochs"` (default) or `"steps"`.
        end: Share of training after which masks no longer change, in (0, 1].
            Defaults to 0.75.
        pattern: As for `RigLUpdate`.
        batch_size: Rows drawn of `(x, y)`. Defaults to 128.
        batches: As for `RigLUpdate`. Defaults to 1.
        loss: As for `RigLUpdate`.
        seed: Int >= 0. The same seed grows the same weights on every backend
            and after a resume.
        grow_init: As for `RigLUpdate`.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs.
        TypeError: If `data` are of another kind.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.88)
    model.compile("sgd", "mse")
    callback = MESTUpdate(final_sparsity=0.9)
    model.fit(x, y, epochs=20, callbacks=[callback])
    ```
    """

    def __init__(
        self,
        data=None,
        interval=2,
        *,
        gradient_weight=0.01,
        final_sparsity=None,
        drop_fraction=0.3,
        decay="cosine",
        unit="epochs",
        end=0.75,
        pattern=None,
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
            lands=None if final_sparsity is None else end,
            pattern=pattern,
            batch_size=batch_size,
            batches=batches,
            loss=loss,
            seed=seed,
            grow_init=grow_init,
        )
        check_number("gradient_weight", gradient_weight, "lambda")
        if not gradient_weight >= 0:
            raise ValueError(
                "Argument `gradient_weight` must be >= 0, or weights that the "
                f"loss feels most would go first. Received: {gradient_weight=}"
            )
        if final_sparsity is not None:
            masks.check_sparsity(final_sparsity, "final_sparsity")
        self.gradient_weight = gradient_weight
        self.final_sparsity = final_sparsity
        self.ends_sparser = final_sparsity is not None

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self.final_sparsity is not None:
            self.check_reached("end", self.due.end)

    def move(self, moment, gradients=None):
        if not moment.landing:
            super().move(moment, gradients)
        elif sparsity(self.model) < self.final_sparsity:
            self.shed(self.model, moment.step, gradients=gradients)

    def shed(self, model, step, *, optimizer=None, gradients=None):
        """Drops down to the final sparsity: what `fit` does at `end`.

        Args:
            model: A Keras model with masks.
            step: Int >= 0, as for `update`.
            optimizer: The Keras optimizer whose slots to zero. Defaults to the
                one the model was compiled with.
            gradients: As for `update`.

        Raises:
            ValueError: If the model has no masks or is sparser than that, or
                a score is NaN or infinite. Nothing has changed then.
        """
        weights = masked_weights(model)
        before = active_masks(weights)
        moving = {p: m for p, m in weights.items() if m.weight.trainable}
        wanted = sparsity_beside(
            before, moving, self.final_sparsity, "final_sparsity"
        )
        if gradients is None:
            gradients = self.gradients(model, moving, step)
        density = np.concatenate([before[p].ravel() for p in moving]).mean()
        share = (1 - wanted) / density
        scores, sparsities = {}, {}
        for path, masked in moving.items():
            scores[path] = self.score(masked.weight_array(), gradients[path])
            sparsities[path] = 1 - share * before[path].mean()
        chosen = masks_by_score(
            moving,
            scores,
            wanted,
            distribution=sparsities,
            pattern=self.pattern,
        )
        set_masks(
            model, chosen, optimizer=optimizer, requested=self.final_sparsity
        )

    def score(self, weight, gradient):
        """|w| + lambda |g|, the importance of each weight."""
        return np.abs(weight) + self.gradient_weight * np.abs(gradient)

    def drop(self, update, fraction):
        return update.pattern.drop_lowest(
            self.score(update.weight, update.gradient),
            update.mask,
            self.count(update, fraction),
        )

    def grow(self, update, mask, count):
        return update.pattern.grow_random(mask, count, update.rng)

    def get_config(self):
        """The arguments but for the data, which no config can hold."""
        return {
            **super().get_config(),
            "gradient_weight": self.gradient_weight,
            "final_sparsity": self.final_sparsity,
        }
