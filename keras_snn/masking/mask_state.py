"""The masks of a model: which weights have one, and what it is.

`set_masks.py` is the one way to change them.
"""

import dataclasses
import weakref

from keras_snn.arithmetic.masks import Masks
from keras_snn.masking import keras_private
from keras_snn.masking.masked_layer import MaskedLayer
from keras_snn.masking.nonzero_layer import NonzeroLayer
from keras_snn.masking.nonzero_layer import check_no_nonzeros
from keras_snn.masking.nonzero_layer import nonzero_weights
from keras_snn.masking.weight_owners import weight_owners

_UNSAVED = weakref.WeakKeyDictionary()  # Method states of models without masks.


def masked_layers(model):
    """Every `MaskedLayer` of a model, itself included, in a fixed order."""
    return [
        layer
        for layer in keras_private.flattened_layers(model)
        if isinstance(layer, MaskedLayer)
    ]


def wrapped_by(model, kind):
    """The masked layers of a model, all of one kind.

    Raises:
        ValueError: If one is of another kind, or a layer stores only nonzeros.
    """
    layers = masked_layers(model)
    if not layers or not all(isinstance(layer, kind) for layer in layers):
        raise ValueError(
            "This method trains weights outside the masks, so the model needs "
            f"another wrapper: sparsify(model, ..., wrapper={kind.__name__}). "
            f"Received: {model.name!r}, wrapped by "
            f"{sorted({type(layer).__name__ for layer in layers})}"
        )
    check_no_nonzeros(model.name, masked_weights(model).values())
    return layers


def masked_weights(model):
    """Every masked weight of a model.

    Args:
        model: A Keras model with masks, built.

    Returns:
        A dict of path, such as `"conv1/kernel"`, to `MaskedWeight`, which has
        `weight_array()` and `mask_array()` in NumPy, `input_axes` to sum over
        the inputs of a unit, and an `index` that tells the weights of all of
        the model's wrappers apart.

    Raises:
        ValueError: If the model has no masks, or is not built.

    Example:

    ```python
    fan_in = {
        path: masked.mask_array().sum(masked.input_axes)
        for path, masked in keras_snn.masked_weights(model).items()
    }
    ```
    """
    layers, found, offset = masked_layers(model), [], 0
    for layer in layers:
        if not layer.built:
            raise ValueError(
                "A model must be built before its masks are read or changed, "
                "since masks have the shapes of weights. "
                f"Received: {layer.name!r}, not yet built"
            )
        found += [(offset, masked) for masked in layer.masked_weights]
        offset += len(weight_owners(layer.layer))
    known = {id(masked.weight) for _, masked in found}
    found += [
        (offset, masked)
        for masked in _of_sparse_layers(model)
        if id(masked.weight) not in known
    ]
    if not found:
        raise ValueError(
            "A model needs masks to be sparse: wrap it first, with "
            "`model = keras_snn.sparsify(model, sparsity)`, where a sparsity "
            f"of 0 keeps every weight. Received: {model.name!r}, which has none"
        )
    weights = {}
    for offset, masked in found:
        path, copies = masked.path, 1
        while path in weights:
            copies += 1
            path = f"{masked.path}_{copies}"
        weights[path] = dataclasses.replace(
            masked, path=path, index=offset + masked.index
        )
    return weights


def has_masks(model):
    """Whether a model has masks, or layers that store only nonzeros."""
    return bool(masked_layers(model) or _of_sparse_layers(model))


def _of_sparse_layers(model):
    """The weights of sparse layers, which may be there by themselves."""
    layers = keras_private.flattened_layers(model)
    there = any(isinstance(layer, NonzeroLayer) for layer in layers)
    return (
        nonzero_weights(weight_owners(model)) if there and model.built else []
    )


def dense_weights(model):
    """Every masked weight of a model, none of which stores only nonzeros.

    For methods that look at kernels as a whole.

    Raises:
        ValueError: As `masked_weights` does, or if a layer computes sparse.
    """
    weights = masked_weights(model)
    sparse = [path for path, m in weights.items() if m.computes == "sparse"]
    if sparse:
        raise ValueError(
            "This method looks at whole kernels, which layers that store only "
            "their nonzeros do not have: apply it to `to_dense(model)`, and "
            f"`to_sparse` what it leaves. Received: {model.name!r}, where "
            f"{sparse} compute sparse"
        )
    return weights


def method_state(model):
    """What a method keeps with a model from update to update: a dict.

    Of names to NumPy arrays or numbers. It is saved with the model's weights,
    by `BackupAndRestore` and `ModelCheckpoint`, too, and loaded with them.

    Args:
        model: A Keras model with masks. Where it has none, but layers that
            store only nonzeros, nothing is saved.
    """
    for layer in masked_layers(model):
        return layer.method_state
    return _UNSAVED.setdefault(model, {})


def get_masks(model):
    """The masks of a model.

    Args:
        model: A Keras model with masks.

    Returns:
        A dict of weight path, such as `"conv1/kernel"`, to a bool NumPy array
        of the weight's shape, True where it is active. It prints as a line.

    Raises:
        ValueError: If the model has no masks.

    Example:

    ```python
    active = {p: int(mask.sum()) for p, mask in get_masks(model).items()}
    ```
    """
    # Copies: on torch, an array shares the memory of its tensor.
    return Masks(
        (path, masked.mask_array().copy())
        for path, masked in masked_weights(model).items()
    )


def sparsity(model):
    """The fraction of zeros over all masked weights of a model.

    Args:
        model: A Keras model with masks.

    Returns:
        A float in [0, 1).

    Raises:
        ValueError: If the model has no masks.

    Example:

    ```python
    model = keras_snn.sparsify(model, 0.9)
    assert abs(keras_snn.sparsity(model) - 0.9) < 0.001
    ```
    """
    weights = masked_weights(model)
    active = sum(masked.active_count() for masked in weights.values())
    return 1 - active / total_size(weights)


def shapes_of(weights):
    """The shape of each masked weight, by path."""
    return {path: masked.shape for path, masked in weights.items()}


def total_size(weights):
    """The number of masked weights, active or not."""
    return sum(masked.size for masked in weights.values())
