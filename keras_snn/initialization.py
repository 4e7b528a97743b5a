"""Initial weights that know their masks.

"Gradient Flow in Sparse Neural Networks and How Lottery Tickets Win",
https://arxiv.org/abs/2010.03533. Dense initialisers divide the variance of
weights by the inputs of a whole layer, so that a unit with few active ones says
too little. Here each unit counts its own: its weights have the variance

    scale / fan_in,  fan_in the active inputs of that unit

Differs from other code: SRigL's default, `grad_flow_init`, takes 2 / fan_in for
the standard deviation.
"""

import keras
import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.checks import check_integer
from keras_snn.checks import check_number
from keras_snn.masking.mask_state import masked_weights

DISTRIBUTIONS = ("normal", "uniform")


def reinitialize(model, *, scale=2.0, distribution="normal", seed=0):
    """Draws the active weights of a sparse model again, by their fan-in.

    For masks that were drawn or chosen before training. Masks, biases and what
    has no mask stay, and so do embeddings, which sum over no inputs, and the
    optimizer's slots.

    Args:
        model: A Keras model with masks.
        scale: The variance of a unit's weights times its fan-in, > 0. Defaults
            to 2, He's for ReLU; 1 is LeCun's.
        distribution: `"normal"`, or `"uniform"`: of the same variance.
        seed: Int >= 0; the same seed draws the same weights on every backend,
            at whatever sparsity, but for their scale.

    Raises:
        ValueError: If the model has no masks, a layer stores only nonzeros, or
            an argument is out of range. Nothing has changed then.

    Example:

    ```python
    model = keras_snn.sparsify(model, 0.9)
    keras_snn.reinitialize(model)
    model.compile("sgd", "mse")
    ```
    """
    check_number("scale", scale, "a variance")
    if not 0 < scale < np.inf:
        raise ValueError(
            "Argument `scale` must be a number > 0, or all weights are 0. "
            f"Received: {scale=}"
        )
    if distribution not in DISTRIBUTIONS:
        raise ValueError(
            f"Argument `distribution` must be one of {DISTRIBUTIONS}. "
            f"Received: {distribution=}"
        )
    check_integer("seed", seed, 0, "which random draws derive from")
    weights = masked_weights(model)
    stored = [path for path, m in weights.items() if m.mask is None]
    if stored:
        raise ValueError(
            "Layers that store only nonzeros draw their own initial weights: "
            f"reinitialize before `to_sparse`. Received: {stored}, stored so"
        )
    for masked in weights.values():
        if not masked.owner.is_kernel or isinstance(
            masked.owner.layer, keras.layers.Embedding
        ):
            continue
        mask = masked.mask_array()
        fan_in = mask.sum(axis=masked.input_axes, keepdims=True)
        # Of its own: the masks of `sparsify` come from the generator itself.
        (rng,) = masks.generator(seed, 0, masked.index).spawn(1)
        drawn = _drawn(distribution, mask.shape, rng)
        drawn *= np.sqrt(scale / np.maximum(fan_in, 1))
        masked.weight.assign(np.where(mask, drawn, masked.weight_array()))


def _drawn(distribution, shape, rng):
    """Floats of mean 0 and variance 1."""
    if distribution == "normal":
        return rng.standard_normal(shape)
    return rng.uniform(-np.sqrt(3), np.sqrt(3), shape)
