"""Top-KAST: top-K always sparse training.

"Top-KAST: Top-K Always Sparse Training", https://arxiv.org/abs/2106.03517. The
forward pass has the largest weights of every layer, the backward pass reaches a
larger share of them, so that weights which grow there may come in. A penalty
draws active weights to 0, and those of the backward pass alone by 1 / density
as much, so that weights are explored in turn.

Differs from the paper, whose code is not public: the penalty is of squares;
masks are computed every `interval` steps, as its section on efficiency allows,
and after the last step of each epoch. Momentum is zeroed outside the backward
pass, so that those weights stay as they are, as in the paper's plain SGD; the
optimizer's `weight_decay` knows no masks: leave it to the penalty.
"""

import numpy as np

from keras_snn import patterns
from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.straight_through_update import (
    StraightThroughUpdate,
)
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import wrapped_by
from keras_snn.masking.set_masks import checked_optimizer
from keras_snn.masking.set_masks import reset_slots
from keras_snn.masking.set_masks import set_masks
from keras_snn.masking.straight_through_layer import StraightThroughLayer


class TopKASTUpdate(StraightThroughUpdate):
    """Keeps the largest weights active, and a larger share in training.

    Args:
        sparsity: Fraction of zeros in the forward pass, in [0, 1).
        backward_sparsity: Fraction of weights without a gradient, in
            [0, `sparsity`].
        interval: Steps between updates, an int >= 1. Defaults to 100.
        distribution: Which sparsity each layer gets, as for `sparsify`.
            Defaults to `"erk"`; the paper's is `"uniform"`, which leaves the
            first and the last layer dense.
        penalty: Factor of the penalty, >= 0. Defaults to 1e-4.
        pattern: Which masks are allowed in the forward pass, as for
            `prune_magnitude`; the backward pass reaches these weights and the
            largest of all others. Defaults to any.

    Raises:
        ValueError: If an argument is out of range, `sparsity` is not that of
            the pattern or, when training begins, the model is not wrapped by
            `StraightThroughLayer`s or a weight cannot have the pattern.

    Example:

    ```python
    model = keras_snn.sparsify(model, 0.9, wrapper=StraightThroughLayer)
    model.compile("sgd", "mse")
    callback = TopKASTUpdate(0.9, backward_sparsity=0.8)
    model.fit(x, y, epochs=20, callbacks=[callback])
    ```
    """

    def __init__(
        self,
        sparsity,
        backward_sparsity,
        interval=100,
        *,
        distribution="erk",
        penalty=1e-4,
        pattern=None,
    ):
        super().__init__(interval, penalty)
        masks.check_sparsity(sparsity)
        masks.check_sparsity(backward_sparsity, "backward_sparsity")
        if backward_sparsity > sparsity:
            raise ValueError(
                "Argument `backward_sparsity` must be at most `sparsity`, or "
                "active weights would not be trained. "
                f"Received: {backward_sparsity=}, {sparsity=}"
            )
        self.pattern = patterns.get(pattern)
        self.pattern.sparsity(sparsity)
        self.sparsity = sparsity
        self.backward_sparsity = backward_sparsity
        self.distribution = self.pattern.distribution(distribution)

    def on_train_begin(self, logs=None):
        patterns.for_weights(self.pattern, masked_weights(self.model))
        super().on_train_begin(logs)

    def decays(self):
        return self.penalty, self.penalty / (1 - self.sparsity)

    def update(self, model, *, optimizer=None):
        """Chooses both masks again: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model wrapped by `StraightThroughLayer`s.
            optimizer: The Keras optimizer whose slots to zero outside the
                backward pass. Defaults to the one the model was compiled with.

        Raises:
            ValueError: If it is not wrapped so, a sparsity would empty a
                layer, or a weight is NaN or infinite. Nothing has changed
                then.
            TypeError: If `optimizer` is not a Keras optimizer.
        """
        wrapped_by(model, StraightThroughLayer)
        optimizer = checked_optimizer(optimizer, model)
        weights = masked_weights(model)
        scores = magnitudes(weights)
        forward = masks_by_score(
            weights,
            scores,
            self.sparsity,
            distribution=self.distribution,
            revive=True,
            pattern=self.pattern,
        )
        any_of = dict.fromkeys(weights, patterns.ANY)
        counts = patterns.counts(
            any_of, weights, self.backward_sparsity, self.distribution
        )
        for path, masked in weights.items():
            # Rounding may give a layer that is nearly dense one weight less.
            more = max(counts[path] - np.count_nonzero(forward[path]), 0)
            backward = masks.grow_highest(scores[path], forward[path], more)
            if not np.array_equal(backward, masked.companion_array()):
                masked.companion.assign(backward)
                reset_slots(optimizer, masked.weight, backward)
        set_masks(model, forward, requested=self.sparsity)

    def get_config(self):
        """The arguments."""
        return {
            "sparsity": self.sparsity,
            "backward_sparsity": self.backward_sparsity,
            "interval": self.due.interval,
            "distribution": self.distribution,
            "penalty": self.penalty,
            "pattern": patterns.serialize(self.pattern),
        }
