"""Random pruning: a fixed mask, drawn without looking at the weights.

"The Unreasonable Effectiveness of Random Pruning: Return of the Most Naive
Baseline for Sparse Training", https://arxiv.org/abs/2202.02643.

Differs from the paper: counts are exact to one weight, where it draws each
position by itself.
"""

from keras_snn import patterns
from keras_snn.choosing.at_random import random_masks
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.set_masks import set_masks


def prune_random(
    model, sparsity=None, *, distribution="erk", pattern=None, seed=0
):
    """Sets random masks, as `sparsify` does: Random or Uniform Pruning.

    Every mask is drawn anew, over active and inactive weights alike; a weight
    that was inactive starts from 0. To keep initial weights, draw the masks
    in `sparsify`.

    Args:
        model: A Keras model with masks.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
            Left out where a pattern such as `"2:4"` determines it.
        distribution: Which sparsity each layer gets, as for `sparsify`.
        pattern: Which masks are allowed, as for `sparsify`.
        seed: Int >= 0.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: If the sparsity is not in [0, 1) or would empty a layer,
            the model has no masks, or a weight cannot have the pattern.

    Example:

    ```python
    prune_random(model, 0.8, distribution="uniform", seed=1)
    ```
    """
    pattern = patterns.get(pattern)
    sparsity = pattern.sparsity(sparsity)
    masks = random_masks(
        masked_weights(model), sparsity, distribution, pattern, seed
    )
    set_masks(model, masks, requested=sparsity)
    return masks
