"""Union-find: numbers that become one with others, set by set."""

import numpy as np


class UnionFind:
    """Disjoint sets of the numbers from 0 on.

    Args:
        size: How many numbers there are at first, each a set of its own.

    Example:

    >>> sets = UnionFind(4)
    >>> sets.unite([0, 1], [2, 3])
    >>> sets.representatives()
    array([0, 1, 0, 1])
    """

    def __init__(self, size=0):
        self._parents = list(range(size))

    def new(self, size):
        """`size` numbers more, each a set of its own: an int array."""
        start = len(self._parents)
        self._parents.extend(range(start, start + size))
        return np.arange(start, start + size)

    def unite(self, first, second):
        """Unites the set of each number with that of its partner.

        Args:
            first: Ints.
            second: As many ints: the partners.
        """
        for one, other in zip(first, second, strict=True):
            one, other = sorted((self._find(one), self._find(other)))
            self._parents[other] = one

    def representatives(self):
        """The lowest number in the set of each number, an int array."""
        return np.array([self._find(i) for i in range(len(self._parents))], int)

    def _find(self, number):
        parents = self._parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number
