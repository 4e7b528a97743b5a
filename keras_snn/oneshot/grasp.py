"""GraSP: pruning at initialisation that preserves gradient flow.

"Picking Winning Tickets Before Training by Preserving Gradient Flow",
https://arxiv.org/abs/2002.07376. With the gradient g and the Hessian H of the
loss on one batch, removing a weight changes |g|^2 by about twice

    -w * (H g)

so the weights of the highest such score go, and those stay whose removal would
lessen the gradient flow most.

Differs from the paper: classifiers keep their own initialisation, where its
code draws them anew; the batch is taken whole, not in two halves. On TensorFlow
the Hessian lacks a small term where BatchNorm trains: `tf.nn.moments` holds the
mean fixed within the variance, which is right for first derivatives alone.
"""

import keras
from keras import ops

from keras_snn.arithmetic import masks
from keras_snn.backend import gradient
from keras_snn.backend import hessian_vector_product
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.gradients import loss_function
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import set_masks

TEMPERATURE = 200.0  # Of the official code, github.com/alecwangcq/GraSP.


def grasp(model, x, y, sparsity, *, loss=None, temperature=None):
    """Keeps the active weights that the gradient flow rests on.

    Args:
        model: A Keras model with masks, such as `sparsify(model, 0.0)`.
        x: One batch of inputs; the paper takes ten of each class.
        y: Its targets.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
        loss: A Keras loss, or its name. Defaults to the compiled one.
        temperature: What outputs are divided by before the loss, > 0, so that
            an initial classifier is unsure of all classes alike. Defaults to
            200, the official code's, for a loss with `from_logits=True`, and
            to 1 for any other, whose outputs are no logits.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: As `snip` does, or if the temperature is not positive.
            Nothing has changed then.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    keras_snn.grasp(model, x[:100], y[:100], sparsity=0.9, loss=loss)
    ```
    """
    masks.check_sparsity(sparsity)
    weights = masked_weights(model)
    scores = flow_kept(model, weights, x, y, loss, temperature)
    chosen = masks_by_score(weights, scores, sparsity)
    set_masks(model, chosen, requested=float(sparsity))
    return chosen


def flow_kept(model, weights, x, y, loss=None, temperature=None):
    """The product w * (H g) of each masked weight, by path."""
    if temperature is None:
        logits = _takes_logits(model.loss if loss is None else loss)
        temperature = TEMPERATURE if logits else 1.0
    if not temperature > 0:
        raise ValueError(
            "Argument `temperature` must be > 0, or the order of outputs is "
            f"lost. Received: {temperature=}"
        )
    function, values = loss_function(
        model,
        [masked.weight for masked in weights.values()],
        x,
        y,
        loss,
        temperature=temperature,
    )
    gradients = gradient(function, values)
    products = hessian_vector_product(function, values, gradients)
    return {
        path: masked.weight_array() * ops.convert_to_numpy(product)
        for (path, masked), product in zip(
            weights.items(), products, strict=True
        )
    }


def _takes_logits(loss):
    try:
        config = keras.losses.get(loss).get_config()
    except (AttributeError, ValueError):  # A function, or one loss an output.
        return False
    return config.get("from_logits", False)
