"""Random pruning: a fixed mask, drawn without looking at the weights.

"The Unreasonable Effectiveness of Random Pruning: Return of the Most Naive
Baseline for Sparse Training", https://arxiv.org/abs/2202.02643.

Differs from the paper: counts are exact to one weight, where it draws each
position by itself.
"""

from keras_snn.mask_state import masked_weights
from keras_snn.mask_state import set_masks
from keras_snn.mask_state import shapes_of
from keras_snn.masks import check_sparsity
from keras_snn.sparsify import random_masks


def prune_random(model, sparsity, *, distribution="erk", seed=0):
    """Sets random masks, as `sparsify` does: Random or Uniform Pruning.

    Every mask is drawn anew, over active and inactive weights alike; a weight
    that was inactive starts from 0. To keep initial weights, draw the masks
    in `sparsify`.

    Args:
        model: A Keras model with masks.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
        distribution: `"erk"`, `"erdos_renyi"`, `"uniform"`, a function, or a
            mapping of layer name or weight path to sparsity.
        seed: Int >= 0.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: If the sparsity is not in [0, 1) or would empty a layer, or
            the model has no masks.

    Example:

    ```python
    prune_random(model, 0.8, distribution="uniform", seed=1)
    ```
    """
    check_sparsity(sparsity)
    weights = masked_weights(model)
    masks = random_masks(
        shapes_of(weights),
        {path: masked.index for path, masked in weights.items()},
        sparsity,
        distribution,
        seed,
    )
    set_masks(model, masks, requested=float(sparsity))
    return masks
