"""The masks of a model: reading them, and the one way to change them.

Whatever changes a mask goes through `set_masks`, which keeps stored weights
exactly 0 outside it: it writes the mask, zeroes the weight wherever it was or
becomes inactive, and resets every optimizer slot of that weight there, too,
since momentum left in a slot would move a weight that gets no gradient.

Keras's Muon is the exception: it turns the update of a kernel as a whole, and
so moves stored weights outside the mask. No output sees them, and `strip`
drops them.
"""

import dataclasses
import math

import keras
import numpy as np
from keras import ops

from keras_snn.arithmetic.masks import check_sparsity
from keras_snn.masking.masked_layer import MaskedLayer


def masked_layers(model):
    """Every `MaskedLayer` of a model, itself included, in a fixed order."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, MaskedLayer)
    ]


def wrapped_by(model, kind):
    """The masked layers of a model, all of one kind.

    Raises:
        ValueError: If one is of another kind.
    """
    layers = masked_layers(model)
    if not layers or not all(isinstance(layer, kind) for layer in layers):
        raise ValueError(
            "This method trains weights outside the masks, so the model needs "
            f"another wrapper: sparsify(model, ..., wrapper={kind.__name__}). "
            f"Received: {model.name!r}, wrapped by "
            f"{sorted({type(layer).__name__ for layer in layers})}"
        )
    return layers


def masked_weights(model):
    """Every masked weight of a model.

    Args:
        model: A Keras model with masks, built.

    Returns:
        A dict of path, such as `"conv1/kernel"`, to `MaskedWeight`. Its
        `index` tells the weights of all of the model's wrappers apart.

    Raises:
        ValueError: If the model has no masks, or is not built.
    """
    layers = masked_layers(model)
    if not layers:
        raise ValueError(
            "A model needs masks to be sparse: wrap it first, with "
            "`model = keras_snn.sparsify(model, sparsity)`, where a sparsity "
            f"of 0 keeps every weight. Received: {model.name!r}, which has none"
        )
    weights, offset = {}, 0
    for layer in layers:
        if not layer.built:
            raise ValueError(
                "A model must be built before its masks are read or changed, "
                "since masks have the shapes of weights. "
                f"Received: {layer.name!r}, not yet built"
            )
        for masked in layer.masked_weights:
            path, copies = masked.path, 1
            while path in weights:
                copies += 1
                path = f"{masked.path}_{copies}"
            weights[path] = dataclasses.replace(
                masked, path=path, index=offset + masked.index
            )
        offset += len(layer.layer.weights)
    return weights


def get_masks(model):
    """The masks of a model.

    Args:
        model: A Keras model with masks.

    Returns:
        A dict of weight path, such as `"conv1/kernel"`, to a bool NumPy array
        of the weight's shape, True where it is active.

    Raises:
        ValueError: If the model has no masks.
    """
    # Copies: on torch, an array shares the memory of its tensor.
    return {
        path: masked.mask_array().copy()
        for path, masked in masked_weights(model).items()
    }


def set_masks(model, masks, *, optimizer=None, requested=None):
    """Changes masks of a model: all at once, or, on an error, none.

    Weights that are dropped or grown start from 0, and so do the optimizer's
    slots of them, or from `initial_accumulator_value` where there is one.
    Masks that stay as they are cost nothing. Weights that a
    `StraightThroughLayer` trains outside the mask, too, keep their values.

    Args:
        model: A Keras model with masks.
        masks: Mapping of weight path to a bool array of the weight's shape.
            What it does not name stays.
        optimizer: The Keras optimizer of a training loop of your own.
            Defaults to the one the model was compiled with.
        requested: The sparsity that was asked for, in [0, 1), for `summary`.

    Raises:
        ValueError: If a path is unknown, a shape differs, a value is neither 0
            nor 1, or a mask leaves its layer no weights.
        TypeError: If `optimizer` is not a Keras optimizer.

    Example:

    ```python
    set_masks(other, get_masks(model))
    ```
    """
    if requested is not None:
        check_sparsity(requested, "requested")
    weights = masked_weights(model)
    masks = {p: _checked(p, mask, weights) for p, mask in masks.items()}
    optimizer = _checked_optimizer(optimizer, model)
    for path, mask in masks.items():
        weight, stored = weights[path].weight, weights[path].mask
        before = weights[path].mask_array()
        if np.array_equal(before, mask):
            continue
        if weights[path].companion is None:
            kept = ops.convert_to_tensor(before & mask)
            for variable, start in ((weight, 0.0), *_slots(optimizer, weight)):
                value = variable.value
                start = ops.full_like(value, start)
                variable.assign(ops.where(kept, value, start))
        stored.assign(mask)
    if requested is not None:
        for layer in masked_layers(model):
            layer.requested_sparsity = requested


def sparsity(model):
    """The fraction of zeros over all masked weights of a model, in [0, 1).

    Args:
        model: A Keras model with masks.

    Raises:
        ValueError: If the model has no masks.
    """
    masks = get_masks(model).values()
    size = sum(mask.size for mask in masks)
    return 1 - sum(int(np.count_nonzero(mask)) for mask in masks) / size


def shapes_of(weights):
    """The shape of each masked weight, by path."""
    return {path: tuple(m.weight.shape) for path, m in weights.items()}


def total_size(weights):
    """The number of masked weights, active or not."""
    return sum(math.prod(shape) for shape in shapes_of(weights).values())


def _checked(path, mask, weights):
    if path not in weights:
        raise ValueError(
            "A mask must belong to a masked weight of the model, or it would "
            f"be lost. Received: {path!r}; the masked weights are "
            f"{list(weights)}"
        )
    mask = np.asarray(mask)
    shape = tuple(weights[path].weight.shape)
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
    if not mask.any():
        raise ValueError(
            f"The mask of {path!r} must keep at least one weight, or the "
            "layer's output is constant. Received: a mask without any"
        )
    return mask.astype(bool)


def _checked_optimizer(optimizer, model):
    if optimizer is None:
        return getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise TypeError(
            "Argument `optimizer` must be a Keras optimizer, whose slots are "
            "zeroed where weights are dropped or grown, or momentum would "
            f"revive them. Received: {optimizer!r}"
        )
    return optimizer


def _slots(optimizer, weight):
    """The optimizer's variables that belong to `weight`, element by element.

    Keras keeps them in lists parallel to the trainable variables: momenta,
    accumulated gradients, moving averages of the weights. With each comes the
    value that it starts from: 0, but for the accumulators of Adagrad and Ftrl,
    by whose power Ftrl divides.
    """
    for part in _parts(optimizer):
        variables = getattr(part, "_trainable_variables", [])
        places = [i for i, v in enumerate(variables) if v is weight]
        for name, value in vars(part).items() if places else ():
            if not isinstance(value, list) or len(value) != len(variables):
                continue
            slot = value[places[0]]
            if (
                isinstance(slot, keras.Variable)
                and slot is not weight
                and slot.shape == weight.shape
            ):
                accumulates = name == "_accumulators"
                start = part.initial_accumulator_value if accumulates else 0.0
                yield slot, start


def _parts(optimizer):
    """The optimizer and those that it wraps, as loss scaling does."""
    if isinstance(optimizer, keras.optimizers.Optimizer):
        yield optimizer
        for value in list(vars(optimizer).values()):
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, keras.optimizers.Optimizer):
                    yield from _parts(inner)
