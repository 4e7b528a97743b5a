"""Claims that methods beat the dense network, by the differences of seeds."""

import dataclasses

import numpy as np

from keras_snn.experiments.grouping import accuracies
from keras_snn.experiments.grouping import panels
from keras_snn.experiments.grouping import series
from keras_snn.experiments.statistics.of_means import INTERVALS
from keras_snn.experiments.statistics.of_means import MOST_SEEDS
from keras_snn.experiments.statistics.of_means import confidence_interval
from keras_snn.experiments.statistics.of_means import holm
from keras_snn.experiments.statistics.of_means import seeds_needed
from keras_snn.experiments.statistics.of_means import tested

FAMILIES = ("method", "panel")


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
    since all must agree. Otherwise it is undecided, and `seeds_needed` is how
    many seeds would give the t test its power at the sparsity that looks best,
    against the strictest of Holm's levels. That number is a guess, and a low
    one: the best of several looks better than it is, and few seeds say little
    of the spread.

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
        interval: `"t"`, or of the bootstrap `"studentized"`, `"bca"` or
            `"percentile"`, or `"auto"`: as the module's text says.

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
        tests = {
            place: tested(values + margin) for place, values in pairs.items()
        }
        adjusted = _adjusted({p: t[1] for p, t in tests.items()}, family)
        compared = {}
        for (method, sparsity), values in pairs.items():
            effect, p, refuted = tests[method, sparsity]
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
