"""FORCE and Iter-SNIP: SNIP in rounds, at the weights that would be left.

"Progressive Skeletonization: Trimming more fat from a network at
initialization", https://arxiv.org/abs/2006.09081. The sparsity grows
exponentially over the rounds, and in each a weight's score is

    |w * dL/dw|   at the network pruned by the round before

with w as it was before any pruning. FORCE lets pruned weights come back in a
later round; Iter-SNIP does not.

Differs from the paper: every round sees the same batch.
"""

import numpy as np

from keras_snn.choosing.by_score import active_masks
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.gradients import loss_gradients
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import set_masks
from keras_snn.masking.mask_state import sparsity as sparsity_of
from keras_snn.schedules import exponential


def force(model, x, y, sparsity, *, rounds=60, revive=True, loss=None):
    """Prunes at initialisation in rounds, each by SNIP's score.

    Args:
        model: A Keras model with masks, such as `sparsify(model, 0.0)`.
        x: One batch of inputs.
        y: Its targets.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
        rounds: Int >= 1; one round is SNIP. Defaults to 60, the official
            code's, at one gradient each.
        revive: Whether weights that a round pruned may come back. Defaults to
            True, FORCE; False is Iter-SNIP.
        loss: A Keras loss, or its name. Defaults to the compiled one.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: As `snip` does, or if `rounds` is no whole number >= 1.
            Nothing has changed then: masks are set after the last round.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    keras_snn.force(model, x[:128], y[:128], sparsity=0.99)
    ```
    """
    weights = masked_weights(model)
    # Fails now if the last round would.
    masks_by_score(weights, magnitudes(weights), sparsity)
    chosen = active_masks(weights)
    for target in exponential(
        sparsity, rounds, initial_sparsity=sparsity_of(model)
    ):
        scores = sensitivity_at(model, weights, chosen, x, y, loss)
        if not revive:
            scores = {
                path: np.where(
                    chosen[path], score, -1.0
                )  # All others are >= 0.
                for path, score in scores.items()
            }
        chosen = masks_by_score(weights, scores, target)
    set_masks(model, chosen, requested=float(sparsity))
    return chosen


def sensitivity_at(model, weights, chosen, x, y, loss=None):
    """|w * dL/dw| of each masked weight where only the chosen are not 0."""
    gradients = loss_gradients(
        model,
        [masked.weight for masked in weights.values()],
        x,
        y,
        loss,
        at=[
            (masked.weight, np.where(chosen[path], masked.weight_array(), 0))
            for path, masked in weights.items()
        ],
    )
    return {
        path: np.abs(masked.weight_array() * gradient)
        for (path, masked), gradient in zip(
            weights.items(), gradients, strict=True
        )
    }
