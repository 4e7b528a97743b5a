"""Whether sparse networks beat the dense one, by seeds: claims with verdicts.

    python -m keras_snn.experiments.statistics results/el2n_resnet18/results.csv

A network is compared to the dense one of its seed, which saw the same batches.
What is asked is about the mean over seeds, on this data: other images are not
drawn.

Three seeds are few. A bootstrap of them draws from 10 different samples and
never leaves the range of the data, and three differences have one sign in a
quarter of all cases where there is no effect at all: of 300 samples of three
normal values, 95% intervals by percentiles held the mean in 73%, Student's in
95%; of ten, bootstrapped ones in 91%. So intervals of few seeds are Student's.
From `FEW` seeds on they are bootstrapped (BCa: Efron, 1987, "Better Bootstrap
Confidence Intervals", Journal of the American Statistical Association 82).

The best of nine sparsities is not nine times as likely to beat the dense
network by chance, but nearly: p-values are corrected after Holm (1979, "A
Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
Statistics 6), which holds however they depend on each other, as they do by the
dense network that they share. Or the sparsity is chosen on some seeds and
tested on the others. To choose it by held-out images of the same networks does
not do: those that were lucky to train well do well on all images.
"""

import argparse
import csv
import dataclasses
import sys
from pathlib import Path

import numpy as np

from keras_snn.experiments.grouping import accuracies
from keras_snn.experiments.grouping import panels
from keras_snn.experiments.grouping import series
from keras_snn.extras import require

FEW = 20
MOST_SEEDS = 1000
FAMILIES = ("method", "panel")
INTERVALS = ("auto", "t", "bca", "percentile")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A method at one sparsity, less the dense network, over paired seeds.

    Attributes:
        panel: The setting, in words.
        method: The method's label.
        sparsity: That was asked for.
        seeds: How many seeds both have.
        difference: The mean difference, in the units of the metric.
        low, high: Its confidence interval, of this comparison alone.
        p: One-sided: how likely so high a mean is where the true one is
            `-margin`.
        adjusted: The same, corrected for all comparisons of the family.
        refuted: One-sided: how likely so low a mean is where it is `-margin`.
        effect: The mean above `-margin`, in standard deviations of a seed.
    """

    panel: str
    method: str
    sparsity: float
    seeds: int
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    refuted: float
    effect: float


@dataclasses.dataclass(frozen=True)
class Claim:
    """That a method beats the dense network, or matches it, at some sparsity.

    Attributes:
        text: The claim, in words.
        panel: The setting, in words.
        verdict: `"holds"`, `"does not hold"` or `"undecided"`.
        seeds_needed: Where undecided, about how many seeds would decide, if
            things are as they look; None if it is not known, or over 1,000.
        comparisons: What it rests on, a `Comparison` for each sparsity.
    """

    text: str
    panel: str
    verdict: str
    seeds_needed: int | None
    comparisons: tuple

    def __str__(self):
        verdict = self.verdict
        if verdict == "undecided":
            about = f"about {self.seeds_needed}"
            if self.seeds_needed is None:
                about = f"more than {MOST_SEEDS}"
            verdict += f", {about} seeds needed"
        return f"{self.text}, {self.panel}: {verdict}"


def claims(
    rows,
    metric="clean_accuracy",
    *,
    level=0.05,
    margin=0.0,
    power=0.8,
    family="method",
    chosen_on=(),
    interval="auto",
):
    """Tests that each method beats the dense network at some sparsity.

    A claim holds if a t test of the paired differences, one-sided and
    corrected after Holm, says so at one sparsity at least. It does not hold if
    tests the other way say so at every sparsity; these need no correction,
    since all must agree. Else it is undecided, and the seeds that the power of
    the t test asks for are told: for the sparsity that looks best, against
    the strictest of Holm's levels. That number is a guess, and a low one: the
    best of several looks better than it is, and few seeds tell spread badly.

    Args:
        rows: List of rows, of `run_grid` or `read_rows`.
        metric: The column compared, larger is better.
        level: How often, at most, a claim that is not true may be said to
            hold, for each family.
        margin: By how much a method may be worse and still match the dense
            network, in the units of the metric; 0 asks that it be better.
        power: How likely the seeds needed are to show what is there.
        family: What is corrected for: `"method"`, the sparsities of each
            method; `"panel"`, those of all methods in a setting.
        chosen_on: Seeds on which each method's sparsity is chosen, the best
            mean of the metric; the others alone are tested, on that sparsity.
        interval: `"t"`, `"bca"`, `"percentile"`, or `"auto"`: as the module's
            text says.

    Returns:
        A list of `Claim`, one for each setting and method.

    Raises:
        ValueError: If an argument is out of range, or trials are missing: the
            dense network of a setting, or a second seed.

    Example:

    ```python
    rows = run_grid(trials(fields), "results/store")
    for claim in claims(rows, margin=0.002):
        print(claim)
    ```
    """
    _check(rows, metric, level, margin, power, family, interval)
    found = []
    for panel, members in panels(rows).items():
        pairs = _chosen(_pairs(panel, members, metric), chosen_on, panel)
        tested = {
            place: _tested(values + margin) for place, values in pairs.items()
        }
        adjusted = _adjusted({p: t[1] for p, t in tested.items()}, family)
        compared = {}
        for (method, sparsity), values in pairs.items():
            effect, p, refuted = tested[method, sparsity]
            low, high = confidence_interval(values, level, interval)
            compared.setdefault(method, []).append(
                Comparison(
                    panel,
                    method,
                    sparsity,
                    len(values),
                    float(values.mean()),
                    low,
                    high,
                    p,
                    adjusted[method, sparsity],
                    refuted,
                    effect,
                )
            )
        for method, mine in compared.items():
            size = len(pairs) if family == "panel" else len(mine)
            at = (
                f"sparsity {mine[0].sparsity:g}"
                if chosen_on
                else "some sparsity"
            )
            does = f"matches dense to {margin:g}" if margin else "beats dense"
            found.append(
                Claim(
                    f"{method} {does} at {at}",
                    panel,
                    *_decided(mine, level, power, size),
                    tuple(mine),
                )
            )
    return found


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
        kind = "t" if len(values) < FEW else "bca"
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    if kind == "t":
        half = stats.t.isf(level / 2, len(values) - 1) * _error(values)
        return float(values.mean() - half), float(values.mean() + half)
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=1 - level,
        method={"bca": "BCa"}.get(kind, kind),
        rng=np.random.default_rng(0),
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


def text(found):
    """Claims as text: a line each, and under it what it rests on.

    Args:
        found: List of `Claim`.

    Returns:
        A str of several lines.
    """
    lines = []
    for claim in found:
        lines.append(str(claim))
        lines += [
            f"    sparsity {c.sparsity:g}: {c.difference:+.4f} "
            f"[{c.low:+.4f}, {c.high:+.4f}], p {c.p:.3g}, "
            f"corrected {c.adjusted:.3g}, {c.seeds} seeds"
            for c in claim.comparisons
        ]
    return "\n".join(lines) + "\n"


def read_rows(path):
    """The rows of a `results.csv`, with numbers as numbers.

    Args:
        path: Of the file.

    Returns:
        A list of dicts; what a row lacks is not in it.
    """
    with Path(path).open(newline="") as file:
        return [
            {name: _value(cell) for name, cell in row.items() if cell}
            for row in csv.DictReader(file)
        ]


def _value(cell):
    if cell in ("True", "False"):
        return cell == "True"
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            pass
    return cell


def _pairs(panel, rows, metric):
    """Of each method and sparsity: seeds, differences, and its own values."""
    dense = _by_seed([row for row in rows if row["method"] == "dense"], metric)
    if not dense:
        raise ValueError(
            "A setting must have its dense network, or there is nothing to "
            f"compare to: add the method `dense`. Received: none for {panel}"
        )
    found = {}
    for line in series(rows):
        if line.method == "dense":
            continue
        for sparsity, group in line.by_sparsity().items():
            mine = _by_seed(group, metric)
            shared = sorted(mine.keys() & dense.keys())
            if len(shared) < 2:
                raise ValueError(
                    "Two seeds at least must have both networks, or their "
                    f"spread is not known. Received: {line.label} at sparsity "
                    f"{sparsity:g}, {panel}: seeds {sorted(mine)}, and of the "
                    f"dense network {sorted(dense)}"
                )
            found[line.label, sparsity] = {
                seed: (mine[seed], mine[seed] - dense[seed]) for seed in shared
            }
    return found


def _by_seed(rows, metric):
    found = {}
    for row in rows:
        if metric in row:
            if row["seed"] in found:
                raise ValueError(
                    "A setting must have one network of each seed, or pairs "
                    f"are not known. Received: two of seed {row['seed']}, "
                    f"{row['method']} at sparsity "
                    f"{row['requested_sparsity']:g}"
                )
            found[row["seed"]] = row[metric]
    return found


def _chosen(pairs, seeds, panel):
    """The differences to test, of each method and sparsity that is tested."""
    if not seeds:
        return {
            place: np.array([of[1] for of in by_seed.values()])
            for place, by_seed in pairs.items()
        }
    best = {}
    for (method, sparsity), by_seed in pairs.items():
        choosing = [by_seed[s][0] for s in by_seed if s in seeds]
        tested = [by_seed[s][1] for s in by_seed if s not in seeds]
        if not choosing or len(tested) < 2:
            raise ValueError(
                "Argument `chosen_on` must name one seed at least and leave "
                f"two. Received: chosen_on={tuple(seeds)} for {method} at "
                f"sparsity {sparsity:g}, {panel}, seeds {list(by_seed)}"
            )
        score = float(np.mean(choosing))
        if method not in best or score > best[method][0]:
            best[method] = score, sparsity, np.array(tested)
    return {(m, sparsity): v for m, (_, sparsity, v) in best.items()}


def _tested(values):
    """The effect, and one-sided p-values of a mean above and below 0."""
    stats = require("scipy.stats", "A test")
    error = _error(values)
    if error == 0:  # Too coarse to tell: three equal values prove nothing.
        mean = values.mean()
        return float(np.copysign(np.inf, mean)) if mean else 0.0, 1.0, 1.0
    t = values.mean() / error
    above = stats.t.sf(t, len(values) - 1)
    return t / np.sqrt(len(values)), float(above), float(1 - above)


def _error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def _adjusted(p_values, family):
    """P-values after Holm, within each family."""
    groups = {}
    for method, sparsity in p_values:
        group = method if family == "method" else None
        groups.setdefault(group, []).append((method, sparsity))
    return {
        place: corrected
        for places in groups.values()
        for place, corrected in zip(
            places, holm([p_values[place] for place in places]), strict=True
        )
    }


def _decided(compared, level, power, family_size):
    """The verdict, and how many seeds it takes where there is none."""
    if min(c.adjusted for c in compared) < level:
        return "holds", None
    if max(c.refuted for c in compared) < level:
        return "does not hold", None
    best = max(compared, key=lambda c: c.effect)
    if not np.isfinite(best.effect):
        return "undecided", None
    if best.effect > 0:
        needed = seeds_needed(best.effect, level / family_size, power)
    else:
        needed = seeds_needed(-best.effect, level, power)
    return "undecided", needed and max(needed, best.seeds + 1)


def _check(rows, metric, level, margin, power, family, interval):
    known = accuracies(rows)
    if not any(metric in row for row in rows):
        raise ValueError(
            "Argument `metric` must be a column of the rows. Received: "
            f"metric={metric!r}, where there are the accuracies {list(known)}"
        )
    for name, value in (("level", level), ("power", power)):
        if not 0 < value < 1:
            raise ValueError(
                f"Argument `{name}` must be in (0, 1), a probability. "
                f"Received: {name}={value!r}"
            )
    if not margin >= 0:
        raise ValueError(
            "Argument `margin` must be >= 0, in the units of the metric. "
            f"Received: margin={margin!r}"
        )
    for name, value, allowed in (
        ("family", family, FAMILIES),
        ("interval", interval, INTERVALS),
    ):
        if value not in allowed:
            raise ValueError(
                f"Argument `{name}` must be one of {list(allowed)}. "
                f"Received: {name}={value!r}"
            )


def main(arguments=None):
    """Prints the claims of a file of results; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", help="a results.csv")
    parser.add_argument("--metric", default="clean_accuracy")
    parser.add_argument("--level", type=float, default=0.05)
    parser.add_argument("--margin", type=float, default=0.0)
    parser.add_argument("--power", type=float, default=0.8)
    parser.add_argument("--family", choices=FAMILIES, default="method")
    parser.add_argument("--chosen-on", type=int, nargs="+", default=())
    parser.add_argument("--interval", choices=INTERVALS, default="auto")
    options = vars(parser.parse_args(arguments))
    try:
        found = claims(read_rows(options.pop("results")), **options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(text(found), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
