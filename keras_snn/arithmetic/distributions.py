r"""How one sparsity is shared out among the layers.

A distribution takes the shapes of the masked weights and one sparsity, and
returns a sparsity for each; `counts` turns those into whole numbers of weights.
A kernel of EinsumDense, of which attention is made, comes as the matrix
(in, out) that it is, however its axes are cut up.

ERK is from "Rigging the Lottery: Making All Tickets Winners",
https://arxiv.org/abs/1911.11134, after the Erdős-Rényi graphs of "Scalable
training of artificial neural networks with adaptive sparse connectivity
inspired by network science", https://arxiv.org/abs/1707.04780. A layer's
density is proportional to

    raw = sum(shape) / prod(shape)                  ERK, all axes
    raw = (n_in + n_out) / (n_in * n_out)           Erdős-Rényi, the last two

and to one factor that makes the total right. Where it would exceed 1 the layer
is dense, and the rest is solved again.
"""

import math
from collections.abc import Mapping

import numpy as np

from keras_snn.arithmetic.masks import check_sparsity

LAST_SPARSITY = 0.8  # At most, of the last layer, with "uniform+".


def uniform(shapes, sparsity):
    """The same sparsity for every layer.

    Args:
        shapes: Mapping of name to weight shape.
        sparsity: Fraction of zeros in all, in [0, 1).

    Returns:
        A dict of name to sparsity.
    """
    return dict.fromkeys(shapes, check_sparsity(sparsity))


def uniform_plus(shapes, sparsity):
    """Uniform, but for a dense first convolution and a denser last layer.

    The last layer is at most 80% sparse, as in "The State of Sparsity in Deep
    Neural Networks", https://arxiv.org/abs/1902.09574. The layers between make
    up for both. The name is that of LAMP's code.

    Args:
        shapes: Mapping of name to weight shape, first layer first. If the
            first shape has rank 3 or more, it is that of a convolution.
        sparsity: Fraction of zeros in all, in [0, 1).

    Returns:
        A dict of name to sparsity.

    Raises:
        ValueError: If the others would have no weights left.
    """
    check_sparsity(sparsity)
    first, last = list(shapes)[0], list(shapes)[-1]
    fixed = {first: 0.0} if len(shapes[first]) > 2 else {}
    solved = _uniform_but_for(fixed, shapes, sparsity)
    if solved[last] > LAST_SPARSITY:
        fixed[last] = LAST_SPARSITY
        solved = _uniform_but_for(fixed, shapes, sparsity)
    return solved


def _uniform_but_for(fixed, shapes, sparsity):
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    zeros = sparsity * sum(sizes.values())
    zeros -= sum(fixed[name] * sizes[name] for name in fixed)
    free = sum(sizes[name] for name in shapes if name not in fixed)
    if zeros > 0 and zeros >= free:
        raise ValueError(
            'The distribution "uniform+" keeps a first convolution dense and '
            "20% of the last layer, and must leave the others some weights: "
            f"lower the sparsity. Received: {sparsity=} for {shapes}"
        )
    return {name: fixed.get(name, zeros / max(free, 1)) for name in shapes}


def erk(shapes, sparsity, *, erk_power_scale=1.0):
    """Erdős-Rényi-Kernel: larger layers sparser, all axes of a kernel counted.

    Args:
        shapes: Mapping of name to weight shape, such as (rows, cols, in, out).
        sparsity: Fraction of zeros in all, in [0, 1).
        erk_power_scale: The power to which the densities' proportions are
            raised, >= 0, as in RigL's code: 0 is uniform, 1 ERK. With
            `functools.partial` it makes a distribution of its own.

    Returns:
        A dict of name to sparsity.

    Example:

    >>> erk({"small": (4, 4), "large": (40, 40)}, 0.9)
    {'small': 0.0, 'large': 0.909}
    >>> softer = functools.partial(erk, erk_power_scale=0.5)
    >>> model = keras_snn.sparsify(model, 0.9, distribution=softer)
    """
    if not 0 <= erk_power_scale < math.inf:
        raise ValueError(
            "Argument `erk_power_scale` must be a number >= 0, or larger "
            f"layers would be denser. Received: {erk_power_scale=}"
        )
    raw = {
        name: (sum(s) / math.prod(s)) ** erk_power_scale
        for name, s in shapes.items()
    }
    return _in_proportion(raw, shapes, sparsity)


def erdos_renyi(shapes, sparsity):
    """Erdős-Rényi: as `erk`, by the input and output channels alone.

    Args:
        shapes: Mapping of name to weight shape whose last two axes are input
            and output channels.
        sparsity: Fraction of zeros in all, in [0, 1).

    Returns:
        A dict of name to sparsity.
    """
    raw = {name: sum(s[-2:]) / math.prod(s[-2:]) for name, s in shapes.items()}
    return _in_proportion(raw, shapes, sparsity)


def _in_proportion(raw, shapes, sparsity):
    density = 1 - check_sparsity(sparsity)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    budget = density * sum(sizes.values())
    sparse = list(shapes)
    factor = 0.0
    while sparse:
        factor = budget / sum(raw[name] * sizes[name] for name in sparse)
        largest = max(raw[name] for name in sparse)
        if factor * largest <= 1:
            break
        budget -= sum(sizes[n] for n in sparse if raw[n] == largest)
        sparse = [name for name in sparse if raw[name] != largest]
    return {
        name: 1 - factor * raw[name] if name in sparse else 0.0
        for name in shapes
    }


DISTRIBUTIONS = {
    "uniform": uniform,
    "uniform+": uniform_plus,
    "erdos_renyi": erdos_renyi,
    "erk": erk,
}


def layer_sparsities(shapes, sparsity, distribution="erk"):
    """A sparsity for each layer.

    Args:
        shapes: Mapping of weight path, such as `"conv1/kernel"`, to shape.
        sparsity: Fraction of zeros in all, in [0, 1).
        distribution: `"uniform"`, `"uniform+"`, `"erdos_renyi"`, `"erk"`, a
            function of (shapes, sparsity), or a mapping of weight path or
            layer name to sparsity; what the mapping does not name gets
            `sparsity`.

    Returns:
        A dict of weight path to sparsity.

    Raises:
        ValueError: If a sparsity is not in [0, 1), the distribution is
            unknown, or the mapping names what is not there.
    """
    check_sparsity(sparsity)
    if isinstance(distribution, Mapping):
        return _from_mapping(shapes, sparsity, distribution)
    solve = distribution
    if isinstance(distribution, str):
        solve = DISTRIBUTIONS.get(distribution)
    if not callable(solve):
        raise ValueError(
            "Argument `distribution` must be a mapping of layer to sparsity, "
            f"a function, or one of {sorted(DISTRIBUTIONS)}. "
            f"Received: distribution={distribution!r}"
        )
    sparsities = solve(shapes, sparsity)
    if not isinstance(sparsities, Mapping) or set(sparsities) != set(shapes):
        raise ValueError(
            "A distribution must return a mapping of every weight to its "
            f"sparsity: of {list(shapes)}. Received: {sparsities!r}"
        )
    return sparsities


def _from_mapping(shapes, sparsity, mapping):
    sparsities = dict.fromkeys(shapes, sparsity)
    for key, value in mapping.items():
        named = [p for p in shapes if p == key or p.rpartition("/")[0] == key]
        if not named:
            raise ValueError(
                "A distribution must name masked layers or weights, or its "
                f"sparsity would be lost. Received: {key!r}; the masked "
                f"weights are {list(shapes)}"
            )
        for path in named:
            sparsities[path] = check_sparsity(value, f"distribution[{key!r}]")
    return sparsities


def counts(shapes, sparsities, at_most=None, steps=None, *, keep_each=True):
    """Active weights of each layer: whole numbers that meet the total.

    Each is its density times its size to within one weight, and their sum is
    the sum of those products, rounded: the largest remainders are rounded up.

    Args:
        shapes: Mapping of name to weight shape.
        sparsities: Mapping of name to sparsity, in [0, 1).
        at_most: Mapping of name to a count that no remainder is rounded up
            beyond, where weights only go. Defaults to none.
        steps: Mapping of name to int: counts are multiples of it. The total is
            then met to within half a step. Defaults to 1 for each.
        keep_each: Whether a layer without weights is an error. Defaults to
            True.

    Returns:
        A dict of name to int.

    Raises:
        ValueError: If a layer would be left without weights.
    """
    step = np.array([1 if steps is None else steps[name] for name in shapes])
    exact = np.array(
        [(1 - sparsities[n]) * math.prod(s) for n, s in shapes.items()]
    )
    missing = round(exact.sum())
    exact = exact / step
    # 0.9 * 10 is 9.000000000000002 in floats: the slack keeps whole numbers.
    whole = np.floor(exact + 1e-9).astype(int)
    missing -= int((whole * step).sum())
    order = np.argsort(whole - exact, kind="stable")
    if at_most is not None:
        most = np.array([at_most[name] for name in shapes])
        order = order[((whole + 1) * step)[order] <= most[order]]
    for place in order:
        if 2 * missing >= step[place]:
            whole[place] += 1
            missing -= step[place]
    active = {n: int(c) for n, c in zip(shapes, whole * step, strict=True)}
    empty = [name for name, n in active.items() if n == 0]
    if keep_each and empty:
        raise ValueError(
            "A sparsity must leave every layer at least one weight, or the "
            "layer's output is constant. Received: "
            + ", ".join(
                f"{sparsities[n]:.6g} for {n!r} of {math.prod(shapes[n])}"
                for n in empty
            )
        )
    return active


def shared_out(total, raw, at_most):
    """A whole number shared out in proportion, within bounds.

    Args:
        total: Int >= 0, at most the sum of the bounds.
        raw: Mapping of name to a number >= 0.
        at_most: Mapping of name to int >= 0. What a bound cuts off goes to
            the others, in proportion.

    Returns:
        A dict of name to int; their sum is `total`.

    Example:

    >>> shared_out(10, {"a": 3.0, "b": 1.0, "c": 1.0}, {"a": 4, "b": 9, "c": 9})
    {'a': 4, 'b': 3, 'c': 3}
    """
    bounds = np.array([at_most[name] for name in raw])
    weights = np.array([float(value) for value in raw.values()])
    if not weights.any():
        weights = np.ones(len(weights))
    shares = np.zeros(len(weights))
    while total > shares.sum() + 0.5:
        free = bounds - shares > 0
        weights = np.where(free, weights, 0.0)
        if not weights.any():
            weights = free.astype(float)
        missing = total - shares.sum()
        shares = np.minimum(shares + missing * weights / weights.sum(), bounds)
    whole = np.floor(shares + 1e-9).astype(int)
    order = np.argsort(whole - shares, kind="stable")
    order = order[whole[order] < bounds[order]]
    whole[order[: total - whole.sum()]] += 1
    return {name: int(n) for name, n in zip(raw, whole, strict=True)}
