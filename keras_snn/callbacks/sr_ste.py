"""SR-STE: N:M sparse networks from scratch.

"Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch",
https://arxiv.org/abs/2102.04010. The forward pass has the n largest of every m
weights, whichever they are now; the gradient reaches all weights straight
through; and the sparse-refined term

    lambda_w * (1 - mask) * w

is added to it, which draws inactive weights to 0, so that masks settle.

Differs from the paper: its weight decay is the optimizer's to add; masks may be
computed every `interval` steps only, and are after the last of each epoch.
Groups lie along the input channels, as in the authors' convolutions; the order
of a group's equal weights is ours.
"""

from keras import ops

from keras_snn import patterns
from keras_snn.callbacks.bases.straight_through_update import (
    StraightThroughUpdate,
)
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import wrapped_by
from keras_snn.masking.set_masks import set_masks
from keras_snn.masking.straight_through_layer import StraightThroughLayer


class SRSTEUpdate(StraightThroughUpdate):
    """Keeps the largest weights of every group, and trains all others as well.

    Args:
        pattern: `"2:4"`, the default, and the like, or an `NM` of
            `keras_snn.patterns`.
        interval: Steps between updates, an int >= 1. Defaults to 1, the
            paper's. An update reads every weight, so that larger models may
            want more.
        penalty: Lambda_w, >= 0. Defaults to 2e-4.

    Raises:
        TypeError: If `pattern` is not an N:M pattern.
        ValueError: If an argument is out of range or, when training begins,
            the model is not wrapped by `StraightThroughLayer`s, or a weight
            cannot have the pattern.

    Example:

    ```python
    model = keras_snn.sparsify(
        model, pattern="2:4", wrapper=StraightThroughLayer
    )
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=20, callbacks=[SRSTEUpdate("2:4")])
    plain = keras_snn.strip(model)
    ```
    """

    def __init__(self, pattern="2:4", interval=1, *, penalty=2e-4):
        super().__init__(interval, penalty)
        self.pattern = patterns.get(pattern)
        if not isinstance(self.pattern, patterns.NM):
            raise TypeError(
                "Argument `pattern` must be N:M, such as '2:4', whose sparsity "
                f"is known. Received: {pattern=!r}"
            )

    def on_train_begin(self, logs=None):
        weights = masked_weights(self.model)
        patterns.for_weights(self.pattern, weights)
        super().on_train_begin(logs)
        for masked in weights.values():
            masked.companion.assign(ops.ones_like(masked.companion.value))

    def decays(self):
        return 0.0, self.penalty

    def update(self, model, *, optimizer=None):
        """Chooses masks again: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model wrapped by `StraightThroughLayer`s.
            optimizer: Not used: all weights are trained, and keep their slots.

        Raises:
            ValueError: If it is not, a weight cannot have the pattern, or is
                NaN or infinite. Nothing has changed then.
        """
        wrapped_by(model, StraightThroughLayer)
        weights = masked_weights(model)
        chosen = masks_by_score(
            weights,
            magnitudes(weights),
            None,
            revive=True,
            pattern=self.pattern,
        )
        set_masks(model, chosen, requested=self.pattern.sparsity(None))

    def get_config(self):
        """The arguments."""
        return {
            "pattern": patterns.serialize(self.pattern),
            "interval": self.due.interval,
            "penalty": self.penalty,
        }
