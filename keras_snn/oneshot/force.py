"""FORCE and Iter-SNIP: SNIP in rounds, at the weights that would be left.

"Progressive Skeletonization: Trimming more fat from a network at
initialization", https://arxiv.org/abs/2006.09081. The sparsity grows
exponentially over the rounds, and in each a weight's score is

    |w * dL/dw|   at the network pruned by the round before

with w as it was before any pruning. FORCE lets pruned weights come back in a
later round; Iter-SNIP does not.

Differs from the paper's code: rounds see the same samples where these are
arrays; every layer keeps a weight, unless `keep_layers=False`.
"""

from keras_snn.choosing.in_rounds import masks_in_rounds
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.set_masks import set_masks
from keras_snn.oneshot.snip import sensitivity


def force(
    model,
    x,
    y=None,
    sparsity=None,
    *,
    rounds=60,
    revive=True,
    loss=None,
    batch_size=None,
    keep_layers=True,
):
    """Prunes at initialisation in rounds, each by SNIP's score.

    Args:
        model: A Keras model with masks, such as `sparsify(model, 0.0)`.
        x: Inputs, or batches, as for `snip`: `dataset.take(1)`, shuffled, is
            another batch in every round, as in the official code.
        y: Their targets. Defaults to None, where `x` holds batches.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
        rounds: Int >= 1; one round is SNIP. Defaults to 60, the official
            code's, at one gradient each.
        revive: Whether weights that a round pruned may come back. Defaults to
            True, FORCE; False is Iter-SNIP.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        batch_size: As for `snip`.
        keep_layers: As for `snip`.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: As `snip` does. Nothing has changed then: masks are set
            after the last round.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    keras_snn.force(model, x[:128], y[:128], sparsity=0.99)
    ```
    """
    weights = masked_weights(model)
    chosen = masks_in_rounds(
        weights,
        lambda masks: sensitivity(
            model, weights, x, y, loss, masks=masks, batch_size=batch_size
        ),
        sparsity,
        rounds,
        revive=revive,
        keep_layers=keep_layers,
    )
    set_masks(model, chosen, requested=float(sparsity), keep_layers=keep_layers)
    return chosen
