"""Structured sparsity: which masks are allowed, in NumPy.

A pattern narrows down the masks of a layer, and chooses among those that are
left by the same scores: wherever a function or a callback of this package takes
`pattern=`, it takes one of these, or "2:4" and the like for `NM`.

Patterns lie along a layer's inputs: axis -2 of the kernels (in, out) and
(rows, cols, in, out), which is the last axis in a TFLite file. Where Keras has
them elsewhere, in transposed convolutions and EinsumDense, they are looked up.
"""

import dataclasses
import re
from collections.abc import Mapping

from keras_snn.arithmetic import distributions
from keras_snn.patterns.ablated_fan_in import AblatedFanIn
from keras_snn.patterns.blocks import Blocks
from keras_snn.patterns.constant_fan_in import ConstantFanIn
from keras_snn.patterns.n_m import NM
from keras_snn.patterns.pattern import Pattern

ANY = Pattern()
KINDS = {
    kind.__name__: kind for kind in (NM, ConstantFanIn, AblatedFanIn, Blocks)
}


def get(pattern):
    """The pattern that an argument means.

    Args:
        pattern: None, for any mask; a string such as `"2:4"`; a `Pattern`; or
            what `serialize` gave.

    Raises:
        ValueError: If a string does not name a pattern.
        TypeError: If it is of another kind.
    """
    if pattern is None:
        return ANY
    if isinstance(pattern, Pattern):
        return pattern
    if isinstance(pattern, Mapping):
        return KINDS[pattern["class_name"]](**pattern["config"])
    if not isinstance(pattern, str):
        raise TypeError(
            "Argument `pattern` must be a string such as '2:4', or a pattern "
            f"of keras_snn.patterns. Received: {pattern=!r}"
        )
    numbers = re.fullmatch(r"(\d+):(\d+)", pattern)
    if not numbers:
        raise ValueError(
            "A pattern's string must be such as '2:4', which keeps 2 of every "
            "4 weights; for others, there are ConstantFanIn and Blocks of "
            f"keras_snn.patterns. Received: {pattern=!r}"
        )
    return NM(*map(int, numbers.groups()))


def serialize(pattern):
    """A config that `get` makes the pattern of again; None for any mask."""
    if pattern == ANY:
        return None
    config = dataclasses.asdict(pattern)
    return {"class_name": type(pattern).__name__, "config": config}


def for_weights(pattern, weights):
    """The pattern for each masked weight, along its layer's inputs.

    Args:
        pattern: A `Pattern`.
        weights: Mapping of path to `MaskedWeight` or `WeightOwner`.

    Returns:
        A dict of path to `Pattern`.

    Raises:
        ValueError: If a weight's shape cannot have it; names the weight.
    """
    bound = {}
    for path, masked in weights.items():
        shape = masked.shape
        bound[path] = pattern.along(masked.input_axes, len(shape))
        bound[path].check_shape(shape, path)
    return bound


def counts(
    of_layers, weights, sparsity, distribution, at_most=None, *, keep_each=True
):
    """Active weights of each layer that its pattern allows.

    Args:
        of_layers: Mapping of path to `Pattern`, from `for_weights`.
        weights: Mapping of path to `MaskedWeight` or `WeightOwner`.
        sparsity: Fraction of zeros in all, in [0, 1).
        distribution: As for `sparsify`.
        at_most: As for `distributions.counts`.
        keep_each: As for `distributions.counts`.

    Returns:
        A dict of path to int.
    """
    for pattern in of_layers.values():
        distribution = pattern.distribution(distribution)
    shapes = {path: masked.plain_shape for path, masked in weights.items()}
    steps = {
        path: of_layers[path].step(masked.shape)
        for path, masked in weights.items()
    }
    return distributions.counts(
        shapes,
        distributions.layer_sparsities(shapes, sparsity, distribution),
        at_most,
        steps,
        keep_each=keep_each,
    )
