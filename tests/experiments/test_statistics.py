"""Verdicts on made-up grids whose truth is known."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from keras_snn.experiments import statistics
from keras_snn.experiments.statistics import __main__ as command
from keras_snn.experiments.statistics import claims
from keras_snn.experiments.statistics import confidence_interval
from keras_snn.experiments.statistics import holm
from keras_snn.experiments.statistics import seeds_needed
from keras_snn.experiments.statistics.of_means import FEW
from keras_snn.files import write_csv

pytestmark = pytest.mark.once

SPARSITIES = np.arange(1, 10) / 10


def row(method, seed, sparsity, accuracy, **others):
    return {
        "method": method,
        "seed": seed,
        "requested_sparsity": sparsity,
        "clean_accuracy": accuracy,
        "data_ratio": 0.3,
        "interval": 4,
        **others,
    }


def grid(random, effects, seeds=3, deviation=0.005):
    """A dense network and SET, whose effects by sparsity are given."""
    rows = []
    for seed in range(seeds):
        shared = 0.6 + random.normal(0, 0.02)
        drawn = shared + random.normal(0, deviation, 1 + len(SPARSITIES))
        rows.append(row("dense", seed, 0.0, drawn[0]))
        rows += [
            row("set", seed, *each)
            for each in zip(SPARSITIES, drawn[1:] + effects, strict=True)
        ]
    return rows


def verdicts(effects, grids, seeds, **options):
    random = np.random.default_rng(0)
    effects = np.broadcast_to(effects, SPARSITIES.shape)
    options = {"interval": "t", **options}
    found = [
        claims(grid(random, effects, seeds), **options)[0].verdict
        for _ in range(grids)
    ]
    return {verdict: found.count(verdict) / grids for verdict in set(found)}


@pytest.mark.parametrize("chosen_on", [(), (0, 1)])
def test_no_effect_is_called_one_as_rarely_as_asked(chosen_on):
    found = verdicts(0.0, 200, 5, level=0.1, chosen_on=chosen_on)
    # Two standard errors above the level, of 200 grids.
    assert found.get("holds", 0) <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 200)


def test_a_true_effect_is_found_and_a_false_claim_refuted():
    one_is_better = 0.015 * (SPARSITIES == 0.5)
    assert verdicts(one_is_better, 40, 10)["holds"] > 0.8
    assert verdicts(-0.015, 40, 10)["does not hold"] > 0.8
    # Worse, yet not by more than the margin at one sparsity.
    one_is_near = np.where(SPARSITIES == 0.5, -0.005, -0.03)
    assert verdicts(one_is_near, 40, 10, margin=0.02)["holds"] > 0.8


def test_values_by_hand():
    better = [0.02, 0.03, 0.025]
    rows = [row("dense", seed, 0.0, 0.5 + seed / 10) for seed in range(3)]
    rows += [
        row("set", seed, 0.5, 0.5 + seed / 10 + by)
        for seed, by in enumerate(better)
    ]
    rows += [row("set", seed, 0.9, 0.5) for seed in range(3)]
    rows.append(row("snip", 0, 0.5, None, error="It failed."))
    (claim,) = claims(rows)
    assert (claim.verdict, claim.seeds_needed) == ("holds", None)
    assert (
        str(claim) == "SET beats dense at some sparsity, data ratio 0.3: holds"
    )
    first = claim.comparisons[0]
    expected = stats.ttest_1samp(better, 0, alternative="greater")
    assert first.p == pytest.approx(expected.pvalue)
    assert first.adjusted == pytest.approx(2 * expected.pvalue)
    interval = stats.ttest_1samp(better, 0).confidence_interval()
    assert (first.low, first.high) == pytest.approx(tuple(interval))
    (by_both,) = claims([*rows, *others(rows)], family="panel")[:1]
    assert by_both.comparisons[0].adjusted == pytest.approx(4 * expected.pvalue)


def others(rows):
    """Random Pruning, no better than dense."""
    return [
        row("random", r["seed"], r["requested_sparsity"], 0.4 + r["seed"] / 50)
        for r in rows
        if r["method"] == "set"
    ]


def test_undecided_says_how_many_seeds():
    rows = [row("dense", seed, 0.0, 0.5) for seed in range(4)]
    values = [0.51, 0.50, 0.52, 0.49]
    rows += [row("set", s, 0.5, v) for s, v in enumerate(values)]
    (claim,) = claims(rows)
    differences = np.array(values) - 0.5
    effect = differences.mean() / differences.std(ddof=1)
    assert claim.verdict == "undecided"
    assert claim.seeds_needed == seeds_needed(effect)
    assert str(claim).endswith(f"about {claim.seeds_needed} seeds needed")


def test_seeds_needed_have_the_power():
    random = np.random.default_rng(0)
    seeds = seeds_needed(0.7, 0.05, 0.8)
    draws = random.normal(0.7, 1, (20_000, seeds))
    p_values = stats.ttest_1samp(draws, 0, axis=1, alternative="greater").pvalue
    assert (p_values < 0.05).mean() == pytest.approx(0.8, abs=0.03)
    assert seeds_needed(0.0) is None
    assert seeds_needed(0.001) is None
    assert seeds_needed(100.0) == 2
    # Also where SciPy's power of 1,000 seeds is NaN.
    found = [seeds_needed(n / 100) for n in range(10, 300)]
    assert found == sorted(found, reverse=True) and None not in found


def test_holm_is_that_of_statsmodels():
    p_values = np.random.default_rng(0).random(9) ** 3
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(expected.tolist())


def test_intervals_of_few_seeds_are_students():
    values = np.random.default_rng(0).normal(size=FEW)
    few = values[:-1]
    assert confidence_interval(few) == confidence_interval(few, kind="t")
    studentized = confidence_interval(values, kind="studentized")
    assert confidence_interval(values) == studentized
    others = [
        confidence_interval(values, kind=k) for k in ("bca", "percentile")
    ]
    assert len({studentized, *others}) == 3
    for low, high in (studentized, *others):
        assert low < values.mean() < high
    three = confidence_interval(values[:3], kind="percentile")
    assert min(values[:3]) <= three[0] and three[1] <= max(values[:3])


def test_studentized_intervals_are_by_the_t_of_all_samples():
    values = np.array([0.1, 0.3, 0.35, 0.5, 1.6])
    error = values.std(ddof=1) / np.sqrt(5)
    places = np.stack(np.meshgrid(*[range(5)] * 5), -1).reshape(-1, 5)
    drawn = values[places[np.ptp(places, axis=1) > 0]]
    t = stats.ttest_1samp(drawn, values.mean(), axis=1).statistic
    expected = values.mean() - np.quantile(t, (0.95, 0.05)) * error
    found = confidence_interval(values, 0.1, "studentized")
    assert found == pytest.approx(expected.tolist(), rel=0.05)
    # Where samples of one value are many, t has no such quantiles.
    tied = [0.0] * 9 + [1.0]
    assert confidence_interval(tied) == confidence_interval(tied, kind="t")


@pytest.mark.parametrize("accuracy", [0.75, 0.5, 0.25])
def test_equal_differences_prove_nothing(accuracy):
    rows = [row("dense", seed, 0.0, 0.5) for seed in range(3)]
    rows += [row("set", seed, 0.5, accuracy) for seed in range(3)]
    (claim,) = claims(rows)
    assert (claim.verdict, claim.seeds_needed) == ("undecided", None)


def test_a_grid_without_what_is_needed():
    rows = grid(np.random.default_rng(0), 0.0)
    with pytest.raises(ValueError, match="dense network.*data ratio 0.3"):
        claims([r for r in rows if r["method"] != "dense"])
    with pytest.raises(
        ValueError, match=r"Two seeds.*SET at sparsity 0.1.*\[0"
    ):
        claims([r for r in rows if r["seed"] == 0])
    with pytest.raises(ValueError, match="two of seed 1, set at sparsity 0.9"):
        claims([*rows, row("set", 1, 0.9, 0.5)])
    with pytest.raises(ValueError, match="leave two.*chosen_on=.0, 1."):
        claims(rows, chosen_on=(0, 1))
    with pytest.raises(ValueError, match="`metric`.*'clean_accuracy'"):
        claims(rows, "adversarial_accuracy")
    for name, bad in (
        ("level", 0),
        ("power", 1.0),
        ("margin", -0.1),
        ("family", "grid"),
        ("interval", "normal"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            claims(rows, **{name: bad})


def test_claims_of_a_file_of_results(tmp_path, capsys):
    rows = grid(np.random.default_rng(0), 0.05)
    write_csv(tmp_path / "results.csv", [{**r, "error": None} for r in rows])
    assert command.main([str(tmp_path / "results.csv")]) == 0
    said = capsys.readouterr().out
    assert said == statistics.text(claims(rows))
    assert "SET beats dense at some sparsity, data ratio 0.3: " in said
    assert "3 seeds" in said
    assert command.main([str(tmp_path / "none.csv")]) == 2
    assert "error: " in capsys.readouterr().err
