"""Mask arithmetic in NumPy: exact counts, ties broken by index.

A mask is a bool array of its weight's shape, True where a weight is active.
Everything here is a pure function of arrays, so the same arrays give the same
bits on every backend, worker and run. Random draws take a generator that
`generator` derives from (seed, step, index), never a running one.
"""

import numpy as np

from keras_snn.checks import check_integer

AT_ONCE = 1 << 24  # A list of so many integers is no burden.


def check_sparsity(sparsity, name="sparsity"):
    """Returns `sparsity` as a float, if it lies in [0, 1).

    Args:
        sparsity: Fraction of zeros, in [0, 1).
        name: The argument's name, for the error.

    Raises:
        ValueError: If it is not a number in [0, 1).
    """
    number = isinstance(sparsity, (int, float, np.number))
    if isinstance(sparsity, bool) or not number or not 0 <= sparsity < 1:
        raise ValueError(
            f"Argument `{name}` must be in [0, 1), or no weights are left. "
            f"Received: {name}={sparsity!r}"
        )
    return float(sparsity)


class Masks(dict):
    """Masks by path, which show how many weights they keep, not which."""

    def __repr__(self):
        size = sum(mask.size for mask in self.values())
        active = sum(int(np.count_nonzero(m)) for m in self.values())
        return (
            f"<Masks of {len(self)} weights: {active:,} of {size:,} active, "
            f"sparsity {1 - active / max(size, 1):.4g}>"
        )


def active_count(size, sparsity):
    """Weights that stay active of `size` at `sparsity`, rounded: an int."""
    return round((1 - sparsity) * size)


def generator(seed, step, index):
    """A NumPy generator for one tensor in one mask update.

    Args:
        seed: Int >= 0, the run's.
        step: Int >= 0, the mask update's (an epoch or an optimizer step).
        index: Int >= 0, the tensor's place among the model's weights.
    """
    check_integer("seed", seed, 0, "which random draws derive from")
    return np.random.default_rng([seed, step, index])


def top_k(scores, k, among=None):
    """The mask of the `k` highest scores.

    Args:
        scores: Float array of any shape.
        k: How many to keep, at most the number of candidates.
        among: Bool array of the same shape, the candidates. Defaults to all.

    Returns:
        A bool array of the same shape with exactly `k` True. Of equal scores
        the lowest index comes first.

    Raises:
        ValueError: If a score is NaN or infinite, or `k` is out of range.

    Example:

    >>> top_k(np.array([3.0, 1.0, 3.0, 2.0]), 2)
    array([ True, False,  True, False])
    """
    scores = np.asarray(scores)
    candidates = _candidates(scores, among)
    values = check_scores(scores).ravel()[candidates]
    return _as_mask(scores.shape, candidates[_largest(values, k)])


def global_top_k(scores, k, among=None, *, keep_each=True):
    """Masks of the `k` highest scores over many tensors.

    Args:
        scores: Mapping of name to float array, of any shapes.
        k: How many to keep in all.
        among: Mapping of name to bool array, the candidates. Defaults to all.
        keep_each: Whether every tensor keeps its highest score, however low,
            since a tensor without weights cuts the network; the total is `k`
            all the same. Defaults to True.

    Returns:
        A dict of name to bool array with exactly `k` True in all. Of equal
        scores the earliest tensor's lowest index comes first.

    Raises:
        ValueError: If a score is NaN or infinite, naming the tensor, or `k` is
            smaller than the number of tensors or larger than that of the
            candidates, or a tensor has none. Where tensors may be left empty,
            `k` must be 1 at least.
    """
    if k < (len(scores) if keep_each else 1):
        of_each = " of each tensor" if keep_each else ""
        raise ValueError(
            f"A global mask must keep at least one weight{of_each}, or the "
            "layers without weights cut the network. "
            f"Received: {k} active weights for {len(scores)} tensors"
        )
    candidates, values = [], []
    for name, score in scores.items():
        score = check_scores(np.asarray(score), name)
        of_tensor = _candidates(score, None if among is None else among[name])
        if keep_each and not len(of_tensor):
            raise ValueError(
                "A global mask must find a candidate in each tensor, or the "
                f"layer is cut. Received: none in {name!r}"
            )
        candidates.append(of_tensor)
        values.append(score.ravel()[of_tensor])
    starts = np.cumsum([0] + [len(v) for v in values[:-1]])
    best = [
        start + int(np.argmax(of_tensor))
        for start, of_tensor in zip(starts, values, strict=True)
        if keep_each
    ]
    values = np.concatenate(values)
    chosen = np.zeros(len(values), bool)
    chosen[best] = True
    others = np.flatnonzero(~chosen)
    chosen[others[_largest(values[others], k - len(best))]] = True
    return {
        name: _as_mask(np.shape(scores[name]), of_tensor[picked])
        for name, of_tensor, picked in zip(
            scores, candidates, np.split(chosen, starts[1:]), strict=True
        )
    }


def random_mask(shape, k, rng):
    """A mask of `shape` with exactly `k` True, drawn uniformly by `rng`."""
    return grow_random(np.zeros(shape, bool), k, rng)


def drawn(size, k, rng):
    """`k` of the integers below `size`, drawn uniformly by `rng`, in no order.

    In memory of the order of `k`, and no more than a byte an integer.
    """
    _check_k(k, size)
    if size <= AT_ONCE or k <= size // 20:  # Where NumPy needs no list of all.
        return rng.choice(size, size=k, replace=False, shuffle=False)
    if k > size // 2:
        kept = np.ones(size, bool)
        kept[drawn(size, size - k, rng)] = False
        return np.flatnonzero(kept)
    # The first k that differ, of draws of all, are a uniform choice.
    chosen = np.empty(0, np.int64)
    while len(chosen) < k:
        more = rng.integers(0, size, k - len(chosen))
        chosen = union(chosen, np.sort(more))
    return chosen


def union(*positions):
    """Those of increasing int arrays, each once, in increasing order.

    As np.unique of numpy 2.4 finds them, in a tenth of its time.
    """
    every = np.sort(np.concatenate(positions), kind="stable")
    first = np.ones(len(every), bool)
    np.not_equal(every[1:], every[:-1], out=first[1:])
    return every[first]


def drop_lowest(scores, mask, k):
    """`mask` without the `k` active positions of the lowest scores.

    Of equal scores the highest index is dropped first.
    """
    return top_k(scores, int(np.count_nonzero(mask)) - k, among=mask)


def grow_highest(scores, mask, k, among=None):
    """`mask` with the `k` inactive positions of the highest scores added.

    Args:
        scores: Float array of the mask's shape.
        mask: Bool array.
        k: How many to add.
        among: Bool array, where growth is allowed. Defaults to all that is
            inactive.
    """
    inactive = ~mask if among is None else among & ~mask
    return mask | top_k(scores, k, among=inactive)


def grow_random(mask, k, rng):
    """`mask` with `k` inactive positions added, drawn uniformly by `rng`."""
    positions = grown_at_random(np.flatnonzero(mask), mask.size, k, rng)
    return _as_mask(mask.shape, positions)


def grown_at_random(positions, size, k, rng):
    """As `grow_random`, of a mask that is known by where it is True.

    Args:
        positions: Int array of the flat positions, in increasing order.
        size: How many positions there are, active or not.
        k: How many to add.
        rng: A NumPy generator.

    Returns:
        An int array of positions, in increasing order.
    """
    ranks = np.sort(drawn(size - len(positions), k, rng))
    # So many inactive positions lie before each active one.
    before = positions - np.arange(len(positions))
    grown = ranks + np.searchsorted(before, ranks, side="right")
    return np.sort(np.concatenate([positions, grown]))


def grown_by_score(positions, blocks, k, name="scores"):
    """As `grow_highest`, of scores that come in blocks.

    Args:
        positions: Int array of the flat positions of the mask, in increasing
            order.
        blocks: Iterable of pairs: the flat position that a block begins at,
            and its scores, a float array. In increasing order, all of them.
        k: How many to add.
        name: Which tensor it is, for the error.

    Returns:
        An int array of positions, in increasing order.
    """
    best, best_at = np.empty(0), np.empty(0, np.int64)
    for begin, scores in blocks:
        scores = check_scores(scores, name).ravel()
        first, last = np.searchsorted(positions, [begin, begin + scores.size])
        inactive = np.ones(scores.size, bool)
        inactive[positions[first:last] - begin] = False
        if k and len(best) == k:  # Of equal scores the first stays.
            inactive &= scores > best.min()
        inactive = np.flatnonzero(inactive)
        best = np.concatenate([best, scores[inactive]])
        best_at = np.concatenate([best_at, begin + inactive])
        highest = top_k(best, min(k, len(best)))
        best, best_at = best[highest], best_at[highest]
    _check_k(k, len(best))
    return np.sort(np.concatenate([positions, best_at]))


def check_scores(scores, name="scores"):
    """Returns `scores`, if all are finite.

    Raises:
        ValueError: If one is NaN or infinite; `name` tells which tensor.
    """
    if np.asarray(scores).dtype.kind in "OSU":
        raise ValueError(
            "Scores must be numbers, or they have no order; nothing was "
            f"pruned. Received: dtype {np.asarray(scores).dtype} in {name!r}"
        )
    finite = np.isfinite(scores)
    if not finite.all():
        raise ValueError(
            "Scores must be finite, or their order means nothing; nothing was "
            f"pruned. Received: {np.size(scores) - np.count_nonzero(finite)} "
            f"NaN or infinite scores of {np.size(scores)} in {name!r}"
        )
    return scores


def _candidates(scores, among):
    if among is None:
        return np.arange(scores.size)
    return np.flatnonzero(among)


def _largest(values, k):
    """Indices of the k largest values; of equal ones the lowest index."""
    _check_k(k, len(values))
    if k == 0:
        return np.empty(0, int)
    threshold = _kth_largest(values, k)
    above = np.flatnonzero(values > threshold)
    ties = np.flatnonzero(values == threshold)
    return np.concatenate([above, ties[: k - len(above)]])


def _kth_largest(values, k):
    """The k-th largest value, for k >= 1.

    By halves, as np.partition finds it, but in time that ties do not lengthen:
    of values most of which are 0 that takes ten times as long or more. Each
    pivot is about the k-th largest of a sample, and all that equal it go.
    """
    draws = np.random.default_rng(0)  # Any pivots give the same result.
    while len(values) > 4096:
        sample = np.sort(values[draws.integers(0, len(values), 1024)])
        pivot = sample[min(int(1024 * (1 - k / len(values))), 1023)]
        above, below = values > pivot, values < pivot
        not_below = len(values) - np.count_nonzero(below)
        if k <= np.count_nonzero(above):
            values = values[above]
        elif k <= not_below:
            return pivot
        else:
            values, k = values[below], k - not_below
    return np.sort(values)[-k]


def _check_k(k, size):
    if not 0 <= k <= size:
        raise ValueError(
            "The number of positions to choose must be between 0 and that of "
            f"the candidates. Received: {k} of {size}"
        )


def _as_mask(shape, indices):
    mask = np.zeros(shape, bool)
    mask.flat[indices] = True
    return mask
