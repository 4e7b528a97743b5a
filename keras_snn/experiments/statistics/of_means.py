"""Tests and confidence intervals of a mean over seeds."""

import numpy as np

from keras_snn.extras import require

FEW = 5  # Seeds: from these on, intervals are bootstrapped.
MOST_SEEDS = 1000
INTERVALS = ("auto", "t", "studentized", "bca", "percentile")


def confidence_interval(values, level=0.05, kind="auto"):
    """The confidence interval of a mean.

    Args:
        values: Floats of shape (n,), n >= 2.
        level: How often the interval may miss the mean.
        kind: As `interval` for `claims`.

    Returns:
        `(low, high)`.
    """
    stats = require("scipy.stats", "A confidence interval")
    values = np.asarray(values, "float64")
    if kind == "auto":
        kind = "t" if len(values) < FEW else "studentized"
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    mean, error = values.mean(), _error(values)
    seen = {"confidence_level": 1 - level, "rng": np.random.default_rng(0)}
    if kind in ("t", "studentized"):
        high = stats.t.isf(level / 2, len(values) - 1)
        low = -high
        if kind == "studentized":
            with np.errstate(invalid="ignore"):
                found = stats.bootstrap(
                    (values - mean,), _t, method="percentile", **seen
                ).confidence_interval
            if np.isfinite(found).all():  # Else most are of equal values.
                low, high = found
        return float(mean - high * error), float(mean - low * error)
    method = {"bca": "BCa"}.get(kind, kind)
    found = stats.bootstrap(
        (values,), np.mean, method=method, **seen
    ).confidence_interval
    return float(found.low), float(found.high)


def holm(p_values):
    """P-values corrected for how many there are, after Holm.

    Args:
        p_values: Floats, a list.

    Returns:
        A list of floats, in the order that they came: below a level where
        Holm's procedure at that level rejects.
    """
    p_values = np.asarray(p_values, "float64")
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected.tolist()


def seeds_needed(effect, level=0.05, power=0.8):
    """How many seeds a one-sided paired t test needs.

    Args:
        effect: The mean difference in standard deviations of the differences.
        level: Of the test.
        power: How likely it is to show the effect.

    Returns:
        An int >= 2; None if it is more than 1,000.

    Example:

    >>> seeds_needed(1.0)
    8
    """
    solver = require("statsmodels.stats.power", "A power calculation")
    power_of = solver.TTestPower().power

    def enough(seeds):
        return power_of(effect, seeds, level, alternative="larger") >= power

    if not effect > 0:
        return None
    low, high = 1, 2
    # Upwards: the power of many seeds more than enough may come out as NaN.
    while not enough(high):
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def tested(values):
    """The effect, and one-sided p-values of a mean above and below 0."""
    stats = require("scipy.stats", "A test")
    error = _error(values)
    if error == 0:  # Too coarse to tell: three equal values prove nothing.
        mean = values.mean()
        return float(np.copysign(np.inf, mean)) if mean else 0.0, 1.0, 1.0
    t = values.mean() / error
    above = stats.t.sf(t, len(values) - 1)
    return t / np.sqrt(len(values)), float(above), float(1 - above)


def _error(values, axis=-1):
    return values.std(axis, ddof=1) / np.sqrt(values.shape[axis])


def _t(values, axis):
    """The statistic of the t test, infinite where all values are equal."""
    mean, equal = values.mean(axis), np.ptp(values, axis) == 0
    error = np.where(equal, 1.0, _error(values, axis))
    return np.where(equal, np.copysign(np.inf, mean), mean / error)
