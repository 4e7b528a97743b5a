"""Which weights of a model to mask: what `include` and `exclude` mean."""

import inspect

import keras

from keras_snn.masking.nonzero_layer import nonzero_owners
from keras_snn.masking.weight_owners import check_not_empty
from keras_snn.masking.weight_owners import weight_owners


def chosen_owners(model, include=None, exclude=None, default=None):
    """The weights to mask: the default ones, and what is asked for.

    Args:
        model: A built Keras model.
        include: As for `sparsify`.
        exclude: As for `sparsify`.
        default: The weights to mask where nothing is named, `keras.Variable`s.
            Defaults to all kernels of the layers that are known.

    Returns:
        A list of `WeightOwner`.

    Raises:
        ValueError: If a name matches nothing, a weight is both included and
            excluded or of a layer that stores only nonzeros, or none is left.
        TypeError: If `include` or `exclude` is of another kind.
    """
    owners = weight_owners(model)
    included = _matching(owners, include, "include")
    excluded = _matching(owners, exclude, "exclude")
    both = sorted(included & excluded)
    if both:
        raise ValueError(
            "A weight is either included or excluded. "
            f"Received: both `include` and `exclude` match {both}"
        )
    sparse = sorted(
        o.path for o in nonzero_owners(owners) if o.path in included
    )
    if sparse:
        raise ValueError(
            "A layer that stores only nonzeros has masks without a wrapper, so "
            f"it is not to be included. Received: `include` matches {sparse}"
        )
    if default is None:
        default = [owner.weight for owner in owners if owner.is_default]
    default = set(map(id, default))
    chosen = [
        owner
        for owner in owners
        if owner.path in included
        or (id(owner.weight) in default and owner.path not in excluded)
    ]
    if not chosen:
        raise ValueError(
            "A sparse model needs at least one weight to mask. Received: "
            f"{model.name!r}, where no kernel is left to mask by default; "
            f"`include` one of {[o.path for o in owners]}"
        )
    check_not_empty(chosen)
    return chosen


def _matching(owners, wanted, argument):
    if wanted is None:
        return set()
    matching = set()
    for item in wanted if isinstance(wanted, (list, tuple, set)) else [wanted]:
        if not isinstance(item, str) and (
            isinstance(item, keras.layers.Layer) or not callable(item)
        ):
            raise TypeError(
                f"Argument `{argument}` must name layers or weights, or be a "
                f"class or a function of a layer. Received: {item!r}"
            )
        found = {owner.path for owner in owners if _matches(owner, item)}
        if not found:
            raise ValueError(
                f"Argument `{argument}` must match weights of the model, or it "
                f"does nothing. Received: {item!r}; the weights are "
                f"{[owner.path for owner in owners]}"
            )
        matching |= found
    return matching


def _matches(owner, item):
    if isinstance(item, str):
        return owner.is_named(item)
    if not owner.is_kernel:
        return False
    if inspect.isclass(item):  # The model itself counts where it is the owner.
        layers = (*owner.layers[1:], owner.layer)
        return any(isinstance(layer, item) for layer in layers)
    return bool(item(owner.layer))
