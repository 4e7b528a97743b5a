"""MEST: memory-economic sparse training.

"MEST: Accurate and Fast Memory-Economic Sparse Training Framework on the
Edge", https://arxiv.org/abs/2110.14032. Elastic mutation: at each update, in
every layer, the active weights of the lowest

    |w| + lambda |dL/dw|

are dropped, and as many are grown at random; the share falls over training.
With the soft memory bound, a layer holds more weights than its final count, so
that new ones are trained before they are judged, and sheds them at the end.

Differs from the paper: the share falls by a cosine, not in stages; what the
soft bound adds stays the same until it goes; lambda of 0.01 is our choice.
Gradients are of a batch drawn from `data`.
"""

import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.by_gradient import ByGradient
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import set_masks
from keras_snn.masking.mask_state import sparsity


class MESTUpdate(ByGradient):
    """Drops by weight and gradient, grows at random.

    Args:
        data: Training data to take gradients on, as for `RigLUpdate`.
        interval: Epochs between updates, an int >= 1. Defaults to 2.
        gradient_weight: Lambda, >= 0. Defaults to 0.01.
        final_sparsity: The soft memory bound: the sparsity from `end` on, in
            [0, 1), above that of the masks to begin with. Every layer sheds
            the same share. Defaults to None: sparsity stays as it is.
        drop_fraction: Share of a layer's active weights that the first update
            mutates, in (0, 1). Defaults to 0.3.
        end: Share of training after which masks stay, in (0, 1]. Defaults to
            0.75.
        **options: `decay`, `unit`, `batch_size`, `loss`, `pattern` and `seed`,
            as for `RigLUpdate`.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs.
        TypeError: If `data` are of another kind.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.88)
    model.compile("sgd", "mse")
    callback = MESTUpdate((x, y), final_sparsity=0.9)
    model.fit(x, y, epochs=20, callbacks=[callback])
    ```
    """

    def __init__(
        self,
        data,
        interval=2,
        *,
        gradient_weight=0.01,
        final_sparsity=None,
        drop_fraction=0.3,
        end=0.75,
        **options,
    ):
        super().__init__(
            data,
            interval,
            drop_fraction=drop_fraction,
            end=end,
            lands=None if final_sparsity is None else end,
            **options,
        )
        if not gradient_weight >= 0:
            raise ValueError(
                "Argument `gradient_weight` must be >= 0, or weights that the "
                f"loss feels most would go first. Received: {gradient_weight=}"
            )
        if final_sparsity is not None:
            masks.check_sparsity(final_sparsity, "final_sparsity")
        self.gradient_weight = gradient_weight
        self.final_sparsity = final_sparsity

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self.final_sparsity is not None:
            self.check_reached("end", self.due.end)

    def update_at(self, moment):
        if not moment.landing:
            super().update_at(moment)
        elif sparsity(self.model) < self.final_sparsity:
            self.shed(self.model, moment.step)

    def shed(self, model, step, *, optimizer=None):
        """Drops down to the final sparsity: what `fit` does at `end`.

        Args:
            model: A Keras model with masks.
            step: Int >= 0, as for `update`.
            optimizer: The Keras optimizer whose slots to zero. Defaults to the
                one the model was compiled with.

        Raises:
            ValueError: If the model has no masks or is sparser than that, or
                a score is NaN or infinite. Nothing has changed then.
        """
        weights = masked_weights(model)
        gradients = self.gradients(model, weights, step)
        share = (1 - self.final_sparsity) / (1 - sparsity(model))
        scores, sparsities = {}, {}
        for path, masked in weights.items():
            scores[path] = self.score(masked.weight_array(), gradients[path])
            sparsities[path] = 1 - share * masked.mask_array().mean()
        chosen = masks_by_score(
            weights,
            scores,
            self.final_sparsity,
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
