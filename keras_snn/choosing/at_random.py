"""Masks drawn at random, without looking at the weights."""

from keras_snn import patterns
from keras_snn.arithmetic import masks
from keras_snn.masking.mask_state import shapes_of


def random_masks(weights, sparsity, distribution, pattern, seed):
    """Masks drawn uniformly within each layer, at its exact count.

    Args:
        weights: Mapping of path to `MaskedWeight` or `WeightOwner`.
        sparsity: Fraction of zeros in all, in [0, 1).
        distribution: As for `sparsify`.
        pattern: A `Pattern`.
        seed: Int >= 0.

    Returns:
        A dict of path to bool array.
    """
    of_layers = patterns.for_weights(pattern, weights)
    counts = patterns.counts(of_layers, weights, sparsity, distribution)
    return masks.Masks(
        (
            path,
            of_layers[path].random_mask(
                shape,
                counts[path],
                masks.generator(seed, 0, weights[path].index),
            ),
        )
        for path, shape in shapes_of(weights).items()
    )
