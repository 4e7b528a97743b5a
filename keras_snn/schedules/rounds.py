"""Sparsities for rounds of pruning."""

from keras_snn.arithmetic.masks import check_sparsity
from keras_snn.checks import check_integer


def exponential(sparsity, rounds, *, initial_sparsity=0.0):
    """Sparsities for rounds of pruning: each keeps the same share of weights.

        sparsity = 1 - (1 - initial) * ((1 - final) / (1 - initial)) ** progress
        progress = round / rounds, in (0, 1]

    With `1 - 0.8**rounds` for the sparsity, 20% of what is left goes in each
    round, as in "The Lottery Ticket Hypothesis: Finding Sparse, Trainable
    Neural Networks", https://arxiv.org/abs/1803.03635.

    Args:
        sparsity: Fraction of zeros after the last round, in [0, 1).
        rounds: Int >= 1.
        initial_sparsity: Fraction of zeros before the first, in [0, 1).

    Returns:
        A list of `rounds` floats; the last is `sparsity` itself.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> exponential(1 - 0.8**3, rounds=3)
    [0.2, 0.36, 0.488]
    """
    final = 1 - check_sparsity(sparsity)
    initial = 1 - check_sparsity(initial_sparsity, "initial_sparsity")
    check_integer("rounds", rounds, 1, "or nothing is pruned")
    share = (final / initial) ** (1 / rounds)
    inner = [1 - initial * share**done for done in range(1, rounds)]
    return [*inner, sparsity]
