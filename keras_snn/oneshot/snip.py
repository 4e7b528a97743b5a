"""SNIP: pruning at initialisation by connection sensitivity.

"SNIP: Single-shot Network Pruning based on Connection Sensitivity",
https://arxiv.org/abs/1810.02340. Of one mini-batch, a weight's score is

    |w * dL/dw|

and the highest of the whole network stay, before any training.

Differs from the paper: scores are not divided by their sum, which changes no
order; every layer keeps a weight, unless `keep_layers=False`. From the authors'
code: BatchNorm has the statistics of the batch, biases are not pruned, and
weights are not drawn anew after pruning.
"""

import numpy as np

from keras_snn import patterns
from keras_snn.arithmetic import masks
from keras_snn.choosing.by_score import active_masks
from keras_snn.choosing.in_rounds import masks_in_rounds
from keras_snn.gradients.of_loss import loss_gradients
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.set_masks import set_masks
from keras_snn.oneshot.in_batches import batches_of
from keras_snn.oneshot.in_batches import mean_over


def snip(
    model,
    x,
    y=None,
    sparsity=None,
    *,
    loss=None,
    batch_size=None,
    rounds=1,
    ratios_only=False,
    pattern=None,
    keep_layers=True,
    seed=0,
):
    """Keeps the active weights whose removal the loss would feel most.

    Args:
        model: A Keras model with masks, such as `sparsify(model, 0.0)`.
        x: Inputs, the paper's one mini-batch or more. Or batches `(x, y)`
            whose gradients are averaged: a list, a `keras.utils.PyDataset` or
            a `tf.data.Dataset`, of which `take` so many.
        y: Their targets. Defaults to None, where `x` holds batches.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
            Left out where a pattern such as `"2:4"` determines it.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        batch_size: Samples a gradient at a time, an int >= 1, to average the
            gradients of arrays, too. Defaults to None, all at once.
        rounds: Int >= 1. Defaults to 1, the paper's; with more it is
            Iter-SNIP, see `force`.
        ratios_only: Keep only how many weights SNIP leaves each layer, and draw
            the positions at random, as the official code of "Are Sparse Neural
            Networks Better Hard Sample Learners?"
            (https://arxiv.org/abs/2409.09196) does. Defaults to False, the
            paper's.
        pattern: Which masks are allowed, as for `prune_magnitude`.
        keep_layers: Whether every layer keeps one weight at least. Defaults
            to True; the paper's False lets layers collapse.
        seed: Int >= 0, for `ratios_only`.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: If the model has no masks, there is no loss or no data, the
            sparsity is not in [0, 1), below that of the model, or so high that
            a layer would be empty, a score is NaN or infinite, a weight cannot
            have the pattern, or an int is out of range. Nothing has changed
            then.

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
    chosen = masks_in_rounds(
        weights,
        lambda masks: sensitivity(
            model, weights, x, y, loss, masks=masks, batch_size=batch_size
        ),
        sparsity,
        rounds,
        pattern=pattern,
        keep_layers=keep_layers,
    )
    if ratios_only:
        chosen = _redrawn(weights, chosen, pattern, seed)
    set_masks(model, chosen, requested=sparsity, keep_layers=keep_layers)
    return chosen


def sensitivity(
    model, weights, x, y, loss=None, *, masks=None, batch_size=None
):
    """|w * dL/dw| of each masked weight, by path.

    Args:
        model: A Keras model with masks.
        weights: Its `masked_weights`.
        x: Inputs.
        y: Their targets.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        masks: By path, where to take dL/dw in place of the model as it is: at
            w within these masks, and 0 outside.
        batch_size: As for `snip`.
    """
    arrays = {path: masked.weight_array() for path, masked in weights.items()}
    at = masks and [
        (
            masked.weight,
            masked.gathered(np.where(masks[path], arrays[path], 0)),
        )
        for path, masked in weights.items()
    ]
    variables = [masked.weight for masked in weights.values()]
    gradients = mean_over(
        batches_of(x, y, batch_size),
        lambda x, y: loss_gradients(model, variables, x, y, loss, at=at),
    )
    return {
        path: np.abs(arrays[path] * masked.scattered(gradient))
        for (path, masked), gradient in zip(
            weights.items(), gradients, strict=True
        )
    }


def _redrawn(weights, chosen, pattern, seed):
    active = active_masks(weights)
    of_layers = patterns.for_weights(pattern, weights)
    return masks.Masks(
        (
            path,
            of_layers[path].top_k(
                masks.generator(seed, 0, weights[path].index).random(
                    mask.shape
                ),
                int(np.count_nonzero(mask)),
                among=active[path],
            ),
        )
        for path, mask in chosen.items()
    )
