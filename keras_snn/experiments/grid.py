"""Grids of trials: fields with several values, and all that they span."""

import itertools

from keras_snn.experiments.trial import TYPES
from keras_snn.experiments.trial import Trial
from keras_snn.experiments.trial import all_options
from keras_snn.experiments.trial import coerced

# The last change fastest, the seed slowest: a figure has all methods early.
LAST = ("data_ratio", "severity", "sparsity", "method")
PLURAL = {"methods": "method", "seeds": "seed"}


def trials(fields):
    """The trials that a grid spans.

    Args:
        fields: Dict of fields and options of `Trial` to a value, or to a list
            of values.

    Returns:
        A list of `Trial`, each once: a dense network has one sparsity.

    Raises:
        ValueError: If there is no such field, a value is not allowed, or one
            that every trial needs is missing.

    Example:

    >>> len(trials({"method": ["dense", "set"], "sparsity": [0.5, 0.9],
    ...     "dataset": "digits", "model": "vgg16", "seed": [0, 1]}))
    6
    """
    fields = spelt(fields)
    values = {name: _values(name, value) for name, value in fields.items()}
    missing = {"method", "sparsity", "dataset", "model"} - set(values)
    if missing:
        raise ValueError(
            "A grid must tell method, sparsity, dataset and model, or it has "
            f"no trials. Received: no {sorted(missing)}"
        )
    names = sorted(values, key=_place)
    spanned = itertools.product(*(values[name] for name in names))
    return list(
        dict.fromkeys(
            trial_of(dict(zip(names, each, strict=True))) for each in spanned
        )
    )


def spelt(fields):
    """Fields by their names in `Trial`: `methods` is `method`."""
    return {PLURAL.get(name, name): value for name, value in fields.items()}


def _place(name):
    return 0 if name == "seed" else 2 + LAST.index(name) if name in LAST else 1


def _values(name, value):
    """The values of a field, in a list; each of the right type."""
    listed = isinstance(value, list | tuple)
    if TYPES.get(name) is tuple:
        listed = listed and any(isinstance(v, list | tuple) for v in value)
    if listed and not value:
        raise ValueError(
            f"Argument `{name}` must have a value, or a grid has no trials. "
            f"Received: {name}={value!r}"
        )
    return [coerced(name, v) for v in (value if listed else [value])]


def trial_of(fields):
    """The trial of fields and options, each of one value: `Trial.content`."""
    fields = dict(fields)
    options = {n: fields.pop(n) for n in all_options() if n in fields}
    return Trial(**fields, options=tuple(options.items()))
