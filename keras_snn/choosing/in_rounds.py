"""Pruning in rounds: each scores what the one before left.

The sparsity grows exponentially, so that each round keeps the same share of the
weights, as in "Progressive Skeletonization: Trimming more fat from a network at
initialization", https://arxiv.org/abs/2006.09081.
"""

from keras_snn import patterns
from keras_snn.choosing.by_score import active_masks
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import total_size
from keras_snn.schedules import exponential


def masks_in_rounds(
    weights, scores_at, sparsity, rounds, *, revive=False, **options
):
    """Masks that keep the highest scores, after several rounds of them.

    Nothing of the model changes.

    Args:
        weights: Dict of path to `MaskedWeight`, from `masked_weights`.
        scores_at: A function of masks, a dict of path to bool array, that
            gives the scores at the network that they leave.
        sparsity: Fraction of zeros after the last round, in [0, 1).
        rounds: Int >= 1.
        revive: Whether weights that a round pruned may come back.
        options: As for `masks_by_score`: `pattern`, `keep_layers`.

    Returns:
        A dict of path to bool array.

    Raises:
        ValueError: As `masks_by_score` does, before the first round if the
            last one would, or if `rounds` is not an int >= 1.
    """
    pattern = patterns.get(options.get("pattern"))
    if rounds != 1 and isinstance(pattern, patterns.NM):
        raise ValueError(
            f"A pattern {pattern.n}:{pattern.m} has one sparsity alone, which "
            f"one round reaches. Received: {rounds=}"
        )
    start = active_masks(weights)
    masks_by_score(weights, magnitudes(weights), sparsity, **options)
    active = sum(int(mask.sum()) for mask in start.values())
    chosen = start
    for target in exponential(
        sparsity, rounds, initial_sparsity=1 - active / total_size(weights)
    ):
        chosen = masks_by_score(
            weights,
            scores_at(chosen),
            target,
            among=start if revive else chosen,
            **options,
        )
    return chosen
