"""One-shot magnitude pruning: OMP, the mask of LTH, and OMP_ERK.

"Learning both Weights and Connections for Efficient Neural Networks",
https://arxiv.org/abs/1506.02626: the weights nearest zero go. Train, prune,
train once more with a fresh optimizer. With the weights of the beginning in
place of the trained ones it is the lottery ticket, see `LotteryTicket`.
"""

from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import prune_by_score
from keras_snn.masking.mask_state import masked_weights


def prune_magnitude(
    model,
    sparsity=None,
    *,
    scope="global",
    distribution=None,
    pattern=None,
    keep_layers=True,
):
    """Keeps the active weights of the largest magnitude.

    Of a trained model without masks, `sparsify(model, sparsity,
    masks="magnitude")` does the same in one call.

    Args:
        model: A Keras model with masks, trained.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
            Left out where a pattern such as `"2:4"` determines it.
        scope: `"global"`: one threshold for the model. `"layer"`: one for each
            layer. `"lamp"`: one for the model, on LAMP scores, "Layer-adaptive
            sparsity for the Magnitude-based Pruning",
            https://arxiv.org/abs/2010.07611.
        distribution: Which sparsity each layer gets: `"uniform"`, `"erk"` (the
            paper's OMP_ERK), or another, as for `sparsify`. Implies the
            scope `"layer"`, whose default is `"uniform"`; LAMP takes none.
        pattern: Which masks are allowed, as for `sparsify`. N:M and constant
            fan-in imply the scope `"layer"`.
        keep_layers: Whether every layer keeps one weight at least. Defaults
            to True; False lets layers collapse.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: If the model has no masks, the sparsity is not in [0, 1),
            below that of the model, or so high that a layer would be empty, a
            weight is NaN or infinite, or cannot have the pattern. Nothing has
            changed then.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile(...)
    model.fit(...)
    keras_snn.prune_magnitude(model, 0.9)
    ```
    """
    return prune_by_score(
        model,
        magnitudes(masked_weights(model)),
        sparsity,
        scope=scope,
        distribution=distribution,
        pattern=pattern,
        keep_layers=keep_layers,
    )
