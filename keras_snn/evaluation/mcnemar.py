"""McNemar's test: whether two networks are right equally often.

McNemar, 1947, "Note on the Sampling Error of the Difference Between Correlated
Proportions or Percentages", Psychometrika 12. It is about the samples, of two
networks that are what they are: that other seeds would differ likewise it does
not say.
"""

from typing import NamedTuple

import numpy as np

from keras_snn.extras import require


class McNemar(NamedTuple):
    """What McNemar's test found.

    Attributes:
        only_first: How many samples the first network alone has right.
        only_second: How many the second alone has right.
        p: How likely so unequal numbers are, if both are right as often.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first, second):
    """Tests whether two networks are right equally often; exact, two-sided.

    Args:
        first: Which samples a network classifies rightly, bools of shape (n,).
        second: The same of another network, on the same samples.

    Returns:
        A `McNemar`.

    Raises:
        ImportError: If statsmodels is not installed.
        ValueError: If they are not bools of one shape (n,).

    Example:

    ```python
    result = mcnemar(dense.argmax(1) == y, sparse.argmax(1) == y)
    ```
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape or first.ndim != 1 or len(first) == 0:
        raise ValueError(
            "Arguments `first` and `second` must be of the same samples, of "
            f"shape (n,). Received: shapes {first.shape} and {second.shape}"
        )
    if first.dtype != bool or second.dtype != bool:
        raise ValueError(
            "Arguments `first` and `second` must be bools: which samples are "
            f"right. Received: dtypes {first.dtype} and {second.dtype}"
        )
    tables = require("statsmodels.stats.contingency_tables", "McNemar's test")
    table = [
        [np.sum(first & second), np.sum(first & ~second)],
        [np.sum(~first & second), np.sum(~first & ~second)],
    ]
    found = tables.mcnemar(table, exact=True)
    return McNemar(int(table[0][1]), int(table[1][0]), float(found.pvalue))
