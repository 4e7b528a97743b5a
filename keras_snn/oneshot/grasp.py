"""GraSP: pruning at initialisation that preserves gradient flow.

"Picking Winning Tickets Before Training by Preserving Gradient Flow",
https://arxiv.org/abs/2002.07376. With the gradient g and the Hessian H of the
loss on one batch, removing a weight changes |g|^2 by about twice

    -w * (H g)

so the weights of the highest such score go, and those stay whose removal would
lessen the gradient flow most.

Differs from the paper's code: classifiers keep their own initialisation, where
it draws them anew; samples are taken at once, not in two halves, which matters
to BatchNorm alone; every layer keeps a weight; see the arguments. On TensorFlow
the Hessian lacks a small term where BatchNorm trains: `tf.nn.moments` holds the
mean fixed within the variance, which is right for first derivatives alone.
"""

import functools

import keras
import numpy as np
from keras import ops

from keras_snn.backend import gradient
from keras_snn.backend import hessian_vector_product
from keras_snn.choosing.in_rounds import masks_in_rounds
from keras_snn.gradients.of_loss import loss_function
from keras_snn.masking.mask_state import dense_weights
from keras_snn.masking.set_masks import set_masks
from keras_snn.oneshot.in_batches import batches_of
from keras_snn.oneshot.in_batches import mean_over

TEMPERATURE = 200.0  # Of the official code, github.com/alecwangcq/GraSP.


def grasp(
    model,
    x,
    y=None,
    sparsity=None,
    *,
    loss=None,
    temperature=None,
    batch_size=None,
    rounds=1,
    keep_layers=True,
):
    """Keeps the active weights that the gradient flow rests on.

    Args:
        model: A Keras model with masks, such as `sparsify(model, 0.0)`.
        x: Inputs, of which the paper takes ten of each class, or batches, as
            for `snip`.
        y: Their targets. Defaults to None, where `x` holds batches.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
        loss: A Keras loss, or its name. Defaults to the compiled one.
        temperature: What outputs are divided by before the loss, > 0, so that
            an initial classifier is unsure of all classes alike. Defaults to
            200, the official code's, for a loss with `from_logits=True`, and
            to 1 for any other, whose outputs are not logits.
        batch_size: Samples a gradient at a time, an int >= 1: both g and H g
            are averaged over the batches. Defaults to None, all at once; half
            of the samples are what the official code takes.
        rounds: Int >= 1. Defaults to 1, the paper's; with more, each scores
            what the one before left, at sparsities as those of `force`.
        keep_layers: As for `snip`.

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
    weights = dense_weights(model)
    chosen = masks_in_rounds(
        weights,
        lambda masks: flow_kept(
            model,
            weights,
            x,
            y,
            loss,
            temperature,
            masks=masks,
            batch_size=batch_size,
        ),
        sparsity,
        rounds,
        keep_layers=keep_layers,
    )
    set_masks(model, chosen, requested=float(sparsity), keep_layers=keep_layers)
    return chosen


def flow_kept(
    model,
    weights,
    x,
    y,
    loss=None,
    temperature=None,
    *,
    masks=None,
    batch_size=None,
):
    """The product w * (H g) of each masked weight, by path; see `sensitivity`.

    With several batches it is that of the mean H and the mean g.
    """
    if temperature is None:
        logits = _takes_logits(model.loss if loss is None else loss)
        temperature = TEMPERATURE if logits else 1.0
    if not temperature > 0:
        raise ValueError(
            "Argument `temperature` must be > 0, or the order of outputs is "
            f"lost. Received: {temperature=}"
        )
    arrays = {path: masked.weight_array() for path, masked in weights.items()}
    loss_on = functools.partial(
        loss_function,
        model,
        [masked.weight for masked in weights.values()],
        loss=loss,
        temperature=temperature,
        at=masks
        and [
            (masked.weight, np.where(masks[path], arrays[path], 0))
            for path, masked in weights.items()
        ],
    )
    batches = batches_of(x, y, batch_size)
    gradients = mean_over(
        batches, lambda x, y: _arrays(gradient(*loss_on(x, y)))
    )
    products = mean_over(
        batches,
        lambda x, y: _arrays(hessian_vector_product(*loss_on(x, y), gradients)),
    )
    return {
        path: arrays[path] * product
        for path, product in zip(weights, products, strict=True)
    }


def _arrays(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def _takes_logits(loss):
    try:
        config = keras.losses.get(loss).get_config()
    except (AttributeError, ValueError):  # A function, or one loss an output.
        return False
    return config.get("from_logits", False)
