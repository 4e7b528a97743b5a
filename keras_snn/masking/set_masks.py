"""The one way to change the masks of a model.

Whatever changes a mask goes through `set_masks`, or through `write_masks`, its
second half, which keeps stored weights exactly 0 outside it: it writes the
mask, zeroes the weight wherever it was or becomes inactive, and resets every
optimizer slot of that weight there, too, since momentum left in a slot would
move a weight that gets no gradient.

Keras's Muon is the exception: it turns the update of a kernel as a whole, and
so moves stored weights outside the mask. No output sees them, and `strip`
drops them.

In a training loop of your own, pass the optimizer: `optimizer=` of `set_masks`
and of the `update` of methods takes one of Keras, or on PyTorch one of
`torch.optim`, whose state is cleared in the same places:

    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    method = SETUpdate()
    for step, (x, y) in enumerate(batches):
        if step % 100 == 99:
            method.update(model, step, step / steps, optimizer=optimizer)
        loss = loss_function(y, model(x, training=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

On JAX, where a loop holds the state of model and optimizer outside of them, it
is `stateless_update` that changes masks.
"""

from collections.abc import Mapping

import keras
import numpy as np

from keras_snn import backend
from keras_snn.arithmetic.masks import check_sparsity
from keras_snn.masking import keras_private
from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.masked_weight import reset


def set_masks(
    model, masks, *, optimizer=None, requested=None, keep_layers=True
):
    """Changes masks of a model: all at once, or, on an error, none.

    Weights that are dropped or grown start from 0, and so do the optimizer's
    slots of them, or from `initial_accumulator_value` where there is one.
    Masks that stay as they are cost nothing. Weights that a
    `StraightThroughLayer` trains outside the mask, too, keep their values.

    Args:
        model: A Keras model with masks.
        masks: Mapping of weight path to a bool array of the weight's shape.
            What it does not name stays.
        optimizer: The Keras optimizer of a training loop of your own, or one
            of `torch.optim`. Defaults to the one the model was compiled with.
        requested: The sparsity that was asked for, in [0, 1), for `summary`.
        keep_layers: Whether a mask that leaves its layer no weights is an
            error. Defaults to True; False is for the study of layer collapse.

    Raises:
        ValueError: If a path is unknown, a shape differs, a value is neither 0
            nor 1, or a mask leaves its layer no weights.
        TypeError: If `masks` is not a mapping, or `optimizer` not a Keras
            optimizer.

    Example:

    ```python
    set_masks(other, get_masks(model))
    ```
    """
    if requested is not None:
        check_sparsity(requested, "requested")
    if not isinstance(masks, Mapping):
        raise TypeError(
            "Argument `masks` must be a mapping of weight path to mask, as "
            "`get_masks` returns it, or nothing tells whose they are. "
            f"Received: a {type(masks).__name__}"
        )
    weights = masked_weights(model)
    masks = {
        path: _checked(path, mask, weights, keep_layers)
        for path, mask in masks.items()
    }
    write_masks(
        weights,
        {path: weights[path].mask_array() for path in masks},
        masks,
        optimizer=checked_optimizer(optimizer, model),
    )
    if requested is not None:
        for layer in masked_layers(model):
            layer.requested_sparsity = requested


def _checked(path, mask, weights, keep_layers):
    if path not in weights:
        raise ValueError(
            "A mask must belong to a masked weight of the model, or it would "
            f"be lost. Received: {path!r}; the masked weights are "
            f"{list(weights)}"
        )
    mask = np.asarray(mask)
    shape = weights[path].shape
    if mask.shape != shape:
        raise ValueError(
            f"The mask of {path!r} must have its weight's shape, {shape}. "
            f"Received: a mask of shape {mask.shape}"
        )
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"The mask of {path!r} must hold booleans, or 0 and 1, since a "
            f"weight is active or not. Received: dtype {mask.dtype} with other "
            "values"
        )
    if keep_layers and not mask.any():
        raise ValueError(
            f"The mask of {path!r} must keep at least one weight, or the "
            "layer's output is constant. Received: a mask without any"
        )
    return mask.astype(bool)


def write_masks(
    weights, before, after, *, optimizer=None, restart=None, start=None
):
    """Writes masks, and what goes with them: weights and optimizer slots.

    What `set_masks` does when everything is checked; for methods, which know
    the masks before.

    Args:
        weights: Dict of path to `MaskedWeight`, from `masked_weights`.
        before: Mapping of path to bool array: the masks as they are.
        after: Mapping of path to bool array: the masks to be, of the same
            paths.
        optimizer: The Keras optimizer whose slots to reset, or None.
        restart: Mapping of path to bool array: weights that start anew though
            they are active before and after. Defaults to none.
        start: Mapping of path to float array: what weights that are grown or
            restarted start from. Defaults to 0.

    Raises:
        ValueError: If a layer that stores only nonzeros has no room for a
            mask. Nothing has changed then.
    """
    for path, mask in after.items():
        weights[path].check_room(mask)
    for path, mask in after.items():
        masked, kept = weights[path], before[path] & mask
        if restart is not None:
            kept &= ~restart[path]
        if np.array_equal(before[path], mask) and (kept == mask).all():
            continue
        masked.write(
            mask,
            kept,
            0.0 if start is None else start[path],
            list(_slots(optimizer, masked.weight)),
        )


def move_nonzeros(weights, after, *, kept, optimizer=None):
    """As `write_masks`, for layers that store only nonzeros, by position.

    Args:
        weights: Dict of path to `NonzeroWeight`.
        after: Mapping of path to the flat positions of the nonzeros to be, in
            increasing order.
        kept: Mapping of path to bool array: which of the nonzeros as they are
            keep their value and slots where they stay.
        optimizer: The Keras optimizer whose slots to reset, or None.

    Raises:
        ValueError: If a layer has no room. Nothing has changed then.
    """
    for path, masked in weights.items():
        masked.owner.layer.check_room(len(after[path]))
    for path, masked in weights.items():
        slots = list(_slots(optimizer, masked.weight))
        masked.move(after[path], kept[path], slots)


def reset_slots(optimizer, weight, kept):
    """Puts optimizer slots of a weight back to where they start from.

    But moving averages of the weights, which go with weights that stay.

    Args:
        optimizer: A Keras optimizer, or None.
        weight: A `keras.Variable`.
        kept: Bool array of its shape, or a bool: where slots stay.
    """
    for slot, at_first in _slots(optimizer, weight, averages=False):
        reset(slot, kept, at_first)


def _slots(optimizer, weight, **options):
    if optimizer is None or isinstance(optimizer, keras.optimizers.Optimizer):
        return keras_private.slots(optimizer, weight, **options)
    return backend.slots(optimizer, weight)


def checked_optimizer(optimizer, model):
    """The optimizer whose slots go with a model's weights, or None.

    Args:
        optimizer: What a user gave, or None for the compiled one.
        model: The model.

    Raises:
        TypeError: If it is not a Keras optimizer, nor on PyTorch one of its.
        ValueError: If it is one of PyTorch's for other parameters.
    """
    if optimizer is None:
        return getattr(model, "optimizer", None)
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    if not backend.holds(optimizer, model.trainable_variables):
        raise TypeError(
            "Argument `optimizer` must be a Keras optimizer, or on PyTorch one "
            "of its own, whose slots are zeroed where weights are dropped or "
            f"grown, or momentum would revive them. Received: {optimizer!r}"
        )
    return optimizer


def check_pruned(weights, before, optimizer):
    """Raises a `ValueError` if weights outside the masks are not 0.

    They would be if a loop of a user's own undid what masks did to weights.

    Args:
        weights: Dict of path to `MaskedWeight`, none of which keeps them.
        before: Dict of path to bool array, their masks.
        optimizer: The optimizer; Muon moves such weights, and is let off.
    """
    if keras_private.moves_whole_kernels(optimizer):
        return
    for path, masked in weights.items():
        if masked.mask is None or masked.keeps_inactive:
            continue
        moved = np.count_nonzero(masked.weight_array()[~before[path]])
        if moved:
            raise ValueError(
                "Weights outside the masks must be stored as 0, or momentum, "
                "or a state from before the last update, has brought them "
                "back: pass the loop's `optimizer` to every update, and on "
                "JAX, where the loop holds the state, update by "
                f"`stateless_update`. Received: {path!r} with {moved} others"
            )
