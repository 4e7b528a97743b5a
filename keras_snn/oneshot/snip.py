"""SNIP: pruning at initialisation by connection sensitivity.

"SNIP: Single-shot Network Pruning based on Connection Sensitivity",
https://arxiv.org/abs/1810.02340. Of one mini-batch, a weight's score is

    |w * dL/dw|

and the highest of the whole network stay, before any training.

Differs from the paper: scores are not divided by their sum, which changes no
order; the network keeps its own initialisation.
"""

import numpy as np

from keras_snn import patterns
from keras_snn.arithmetic import masks
from keras_snn.choosing.by_score import active_masks
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.gradients import loss_gradients
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import set_masks


def snip(
    model,
    x,
    y,
    sparsity=None,
    *,
    loss=None,
    ratios_only=False,
    pattern=None,
    seed=0,
):
    """Keeps the active weights whose removal the loss would feel most.

    Args:
        model: A Keras model with masks, such as `sparsify(model, 0.0)`.
        x: One mini-batch of inputs.
        y: Its targets.
        sparsity: Fraction of zeros over all masked weights, in [0, 1). A
            pattern such as `"2:4"` tells it.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        ratios_only: Keep only how many weights SNIP leaves each layer, and draw
            the positions at random, as the official code of "Are Sparse Neural
            Networks Better Hard Sample Learners?"
            (https://arxiv.org/abs/2409.09196) does. Defaults to False, the
            paper's.
        pattern: Which masks are allowed, as for `prune_magnitude`.
        seed: Int >= 0, for `ratios_only`.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: If the model has no masks, there is no loss or no data, the
            sparsity is not in [0, 1), below that of the model, or so high that
            a layer would be empty, a score is NaN or infinite, or a weight
            cannot have the pattern. Nothing has changed then.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    keras_snn.snip(model, x[:128], y[:128], sparsity=0.9)
    ```
    """
    pattern = patterns.get(pattern)
    sparsity = pattern.sparsity(sparsity)
    weights = masked_weights(model)
    scores = sensitivity(model, weights, x, y, loss)
    chosen = masks_by_score(weights, scores, sparsity, pattern=pattern)
    if ratios_only:
        chosen = _redrawn(weights, chosen, pattern, seed)
    set_masks(model, chosen, requested=sparsity)
    return chosen


def sensitivity(model, weights, x, y, loss=None):
    """|w * dL/dw| of each masked weight, by path."""
    variables = [masked.weight for masked in weights.values()]
    gradients = loss_gradients(model, variables, x, y, loss)
    return {
        path: np.abs(masked.weight_array() * gradient)
        for (path, masked), gradient in zip(
            weights.items(), gradients, strict=True
        )
    }


def _redrawn(weights, chosen, pattern, seed):
    active = active_masks(weights)
    of_layers = patterns.for_weights(pattern, weights)
    return {
        path: of_layers[path].top_k(
            masks.generator(seed, 0, weights[path].index).random(mask.shape),
            int(np.count_nonzero(mask)),
            among=active[path],
        )
        for path, mask in chosen.items()
    }
