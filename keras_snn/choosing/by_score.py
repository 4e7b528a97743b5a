"""From one score a weight to masks: what all pruning by score shares.

A method is its score. Where the highest are kept is told by a scope: over the
whole model, or within each layer at the sparsity that a distribution gives.
"""

import numpy as np

from keras_snn import patterns
from keras_snn.arithmetic import masks
from keras_snn.choosing.lamp import lamp
from keras_snn.masking.mask_state import shapes_of
from keras_snn.masking.mask_state import total_size

SCOPES = ("global", "layer", "lamp")


def masks_by_score(
    weights,
    scores,
    sparsity,
    *,
    scope="global",
    distribution=None,
    revive=False,
    pattern=None,
):
    """Masks that keep the active weights of the highest scores.

    Inactive weights stay inactive, whatever their score, unless they `revive`.

    Args:
        weights: Dict of path to `MaskedWeight`, from `masked_weights`.
        scores: Mapping of path to float array of the weight's shape.
        sparsity: Fraction of zeros in all, in [0, 1).
        scope: `"global"`: the highest scores of the whole model, yet at least
            one in each layer. `"layer"`: the highest of each layer. `"lamp"`:
            as global, by the LAMP scores of magnitudes.
        distribution: Which sparsity each layer gets, as for `sparsify`.
            Implies the scope `"layer"`, whose default is `"uniform"`; the
            scope `"lamp"` shares out by itself.
        revive: Whether inactive weights compete as well.
        pattern: Which masks are allowed, as for `sparsify`. Where it is one of
            every layer by itself, the scope is `"layer"`.

    Returns:
        A dict of path to bool array.

    Raises:
        ValueError: If an argument is out of range, a layer would be empty, a
            score is not finite, fewer weights are active than asked for, or
            a weight cannot have the pattern.
    """
    pattern = patterns.get(pattern)
    sparsity = pattern.sparsity(sparsity)
    check_scope(scope)
    of_layers = patterns.for_weights(pattern, weights)
    active = active_masks(weights)
    if revive:
        active = {path: mask | True for path, mask in active.items()}
    if scope == "lamp":
        _check_alone(distribution)
        scores = {
            path: lamp(masks.check_scores(score, path), active[path])
            for path, score in scores.items()
        }
    shapes = shapes_of(weights)
    if scope != "layer" and distribution is None and not pattern.per_layer:
        units = masks.active_count(
            total_size(weights) // pattern.unit, sparsity
        )
        _check_available(
            "the model",
            units * pattern.unit,
            pattern.unit
            * sum(
                int(np.count_nonzero(of_layers[p].units(m) == 1))
                for p, m in active.items()
            ),
        )
        chosen = masks.global_top_k(
            {path: of_layers[path].units(s) for path, s in scores.items()},
            units,
            among={p: of_layers[p].units(m) == 1 for p, m in active.items()},
        )
        return {
            path: of_layers[path].weights(mask, shapes[path])
            for path, mask in chosen.items()
        }
    available = {path: int(mask.sum()) for path, mask in active.items()}
    counts = patterns.counts(
        of_layers, weights, sparsity, distribution or "uniform", available
    )
    for path, score in scores.items():
        masks.check_scores(score, path)
        _check_available(path, counts[path], available[path])
    return {
        path: of_layers[path].top_k(scores[path], counts[path], active[path])
        for path in weights
    }


def check_scope(scope, scopes=SCOPES):
    """Raises a `ValueError` if `scope` is none of `scopes`."""
    if scope not in scopes:
        raise ValueError(
            f"Argument `scope` must be one of {scopes}. Received: {scope=!r}"
        )


def _check_alone(distribution):
    if distribution is not None:
        raise ValueError(
            'The scope "lamp" shares out the sparsity by itself, so it takes '
            f"no distribution. Received: scope='lamp', {distribution=!r}"
        )


def active_masks(weights):
    """The masks of `masked_weights` as NumPy arrays, by path."""
    return {p: m.mask_array() for p, m in weights.items()}


def magnitudes(weights):
    """The absolute value of each weight, by path."""
    return {
        path: np.abs(masked.weight_array()) for path, masked in weights.items()
    }


def _check_available(where, keep, active):
    if keep > active:
        raise ValueError(
            "Pruning only removes weights, so the sparsity must be at least "
            f"that of the model as it is. Received: {keep} weights to keep in "
            f"{where}, where {active} are active"
        )
