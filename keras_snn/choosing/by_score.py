"""From one score a weight to masks: what all pruning by score shares.

A method is its score. A scope says among which weights the highest are kept:
those of the whole model, or of each layer, at the sparsity that a distribution
gives it.
"""

import math
from collections.abc import Mapping

import numpy as np
from keras import ops

from keras_snn import patterns
from keras_snn.arithmetic import distributions
from keras_snn.arithmetic import masks
from keras_snn.choosing.lamp import lamp
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import shapes_of
from keras_snn.masking.mask_state import total_size
from keras_snn.masking.set_masks import set_masks

SCOPES = ("global", "layer", "lamp")


def prune_by_score(
    model,
    scores,
    sparsity=None,
    *,
    scope="global",
    distribution=None,
    pattern=None,
    revive=False,
    keep_layers=True,
    optimizer=None,
):
    """Keeps the weights of the highest scores: a pruning method of your own.

    Args:
        model: A Keras model with masks.
        scores: Mapping of the path of each masked weight to an array of its
            shape, such as `keras_snn.masked_weights` helps to make.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
            Left out where a pattern such as `"2:4"` determines it.
        scope: `"global"`: the highest scores of the whole model. `"layer"`:
            the highest of each layer, all at one sparsity, but for layers that
            are sparser already, which stay so. `"lamp"`: as global, by the
            LAMP scores of magnitudes, see `prune_magnitude`.
        distribution: Which sparsity each layer gets, as for `sparsify`.
            Implies the scope `"layer"`, whose default is `"uniform"`; the
            scope `"lamp"` shares out by itself.
        pattern: Which masks are allowed, as for `sparsify`. N:M and constant
            fan-in imply the scope `"layer"`.
        revive: Whether inactive weights compete as well. Defaults to False:
            pruning only removes weights.
        keep_layers: Whether every layer keeps one weight at least. Defaults
            to True; False lets layers collapse, as the published code of most
            methods does.
        optimizer: The Keras optimizer of a training loop of your own.
            Defaults to the one the model was compiled with.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: If the model has no masks, a weight has no score of its
            shape or one that is NaN or infinite, the sparsity is not in
            [0, 1), below that of the model, or so high that a layer would be
            empty, or a weight cannot have the pattern. Nothing has changed
            then.

    Example:

    ```python
    # "Deconstructing Lottery Tickets", https://arxiv.org/abs/1905.01067:
    # weights stay whose magnitude has grown the most.
    start = {
        path: abs(masked.weight_array())
        for path, masked in keras_snn.masked_weights(model).items()
    }
    model.fit(x, y)
    growth = {
        path: abs(masked.weight_array()) - start[path]
        for path, masked in keras_snn.masked_weights(model).items()
    }
    keras_snn.prune_by_score(model, growth, 0.9)
    ```
    """
    sparsity = patterns.get(pattern).sparsity(sparsity)
    weights = masked_weights(model)
    chosen = masks_by_score(
        weights,
        _of_weights(scores, weights),
        sparsity,
        scope=scope,
        distribution=distribution,
        pattern=pattern,
        revive=revive,
        keep_layers=keep_layers,
    )
    set_masks(
        model,
        chosen,
        optimizer=optimizer,
        requested=sparsity,
        keep_layers=keep_layers,
    )
    return chosen


def _of_weights(scores, weights):
    """The scores as arrays, in the order of the weights, which they fit."""
    shapes = shapes_of(weights)
    if not isinstance(scores, Mapping):
        raise TypeError(
            "Argument `scores` must be a mapping of weight path to array, one "
            f"for each of {list(shapes)}. Received: a {type(scores).__name__}"
        )
    arrays = {
        path: ops.convert_to_numpy(s) if ops.is_tensor(s) else np.asarray(s)
        for path, s in scores.items()
    }
    if {path: array.shape for path, array in arrays.items()} != shapes:
        raise ValueError(
            "Scores must be of the shapes of the masked weights, one array for "
            f"each: {shapes}. Received: "
            f"{ {path: array.shape for path, array in arrays.items()} }"
        )
    return {path: arrays[path] for path in weights}


def masks_by_score(
    weights,
    scores,
    sparsity,
    *,
    scope="global",
    distribution=None,
    revive=False,
    pattern=None,
    keep_layers=True,
    among=None,
):
    """Masks that keep the active weights of the highest scores.

    Inactive weights stay inactive, whatever their score, unless they `revive`.

    Args:
        weights: Dict of path to `MaskedWeight`, from `masked_weights`.
        scores: Mapping of path to float array of the weight's shape.
        sparsity: Fraction of zeros in all, in [0, 1).
        scope: As for `prune_by_score`.
        distribution: Likewise.
        revive: Likewise.
        pattern: Likewise.
        keep_layers: Likewise.
        among: Masks of the weights that compete, in place of the active ones.

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
    active = active_masks(weights) if among is None else among
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
            keep_each=keep_layers,
        )
        return masks.Masks(
            (path, of_layers[path].weights(mask, shapes[path]))
            for path, mask in chosen.items()
        )
    available = {path: int(mask.sum()) for path, mask in active.items()}
    if distribution is None:
        distribution = _even(pattern, weights, sparsity, available)
    counts = patterns.counts(
        of_layers,
        weights,
        sparsity,
        distribution,
        available,
        keep_each=keep_layers,
    )
    for path, score in scores.items():
        masks.check_scores(score, path)
        _check_available(path, counts[path], available[path])
    return masks.Masks(
        (path, of_layers[path].top_k(scores[path], counts[path], active[path]))
        for path in weights
    )


def _even(pattern, weights, sparsity, available):
    """One density for all layers that have the weights for it.

    tfmot lets weights come back where a layer is sparser already; here such
    layers stay as they are, and the total is met by the others.
    """
    sizes = {path: math.prod(s) for path, s in shapes_of(weights).items()}
    total = masks.active_count(sum(sizes.values()), sparsity)
    enough = all(
        available[path] >= math.floor((1 - sparsity) * size + 1e-9)
        for path, size in sizes.items()
    )
    beyond = total > sum(available.values())
    if enough or beyond or isinstance(pattern, patterns.NM):
        return "uniform"
    kept = distributions.shared_out(total, sizes, available)
    return {path: 1 - kept[path] / size for path, size in sizes.items()}


def check_scope(scope, scopes=SCOPES):
    """Raises a `ValueError` if `scope` is not one of `scopes`."""
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
