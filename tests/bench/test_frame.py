"""The arithmetic of the benchmarks, on clocks and rows made up."""

import sys

import pytest

from tools.bench import __main__ as command
from tools.bench import child
from tools.bench import frame
from tools.bench import peers
from tools.bench import results

pytestmark = pytest.mark.once


@pytest.fixture
def clock(monkeypatch):
    """A clock that the sides themselves put forward."""

    class Clock:
        now = 0.0

        def side(self, times):
            times = iter(times)

            def run():
                self.now += next(times)

            return run

    clock = Clock()
    for name in ("perf_counter", "process_time"):
        monkeypatch.setattr(frame.time, name, lambda: clock.now)
    return clock


def test_ratios_are_of_pairs_behind_the_first(clock):
    ours = clock.side([100, 1, 2, 3])
    theirs = clock.side([1, 2, 8, 3])
    assert frame.in_turn(ours, theirs, 3) == [0.5, 0.25, 1.0]


def test_sides_take_turns_at_beginning():
    ran = []
    frame.in_turn(
        lambda: ran.append("ours"),
        lambda: ran.append("theirs"),
        2,
        before=lambda: ran.append("new"),
    )
    assert ran == [
        *("new", "ours", "theirs"),
        *("new", "ours", "theirs"),
        *("new", "theirs", "ours"),
    ]


def test_no_pairs_are_an_error():
    with pytest.raises(ValueError, match="Received: pairs=0"):
        frame.in_turn(print, print, 0)


@pytest.mark.parametrize(
    "values, median, quartiles",
    [
        ([1, 2, 3, 4, 5], 3, [2, 4]),
        ([4, 1], 2.5, [1.75, 3.25]),
        ([7], 7, [7, 7]),
    ],
)
def test_median_and_quartiles(values, median, quartiles):
    found = frame.summarized(values)
    assert found["median"] == median
    assert found["quartiles"] == quartiles
    assert found["repetitions"] == len(values)
    assert found["met"] is None


def test_goal_is_met_by_the_median():
    assert frame.summarized([0.9, 1.03, 2.0], goal=1.03)["met"]
    assert frame.summarized([0], goal=0)["met"]
    assert not frame.summarized([0.9, 1.04, 2.0], goal=1.03)["met"]


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_what_has_no_median_is_an_error(values):
    with pytest.raises(ValueError, match="finite"):
        frame.summarized(values)


def test_quick_is_yes_or_no(monkeypatch):
    for value, expected in (("", 7), ("0", 7), ("1", 3)):
        monkeypatch.setenv("QUICK", value)
        assert frame.pick(7, 3) == expected
    monkeypatch.setenv("QUICK", "yes")
    with pytest.raises(ValueError, match="Received: QUICK=yes"):
        frame.quick()


def test_more_cores_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="Received: 100000"):
        frame.use_cores(100000)


def case(measure, peer="numpy", **arguments):
    return frame.Case("a row", measure, peer, **arguments)


def test_failing_row_says_why(monkeypatch, capsys):
    def fail():
        raise RuntimeError("too small\nby far")

    assert child.measured(case(fail)) == {"failed": "RuntimeError: too small"}
    assert "by far" in capsys.readouterr().err
    monkeypatch.setattr(peers, "version", lambda package: None)
    found = child.measured(case(fail, "sparselab"))
    assert found["missing"] and "sparselab is not installed" in found["failed"]


def test_complaint_is_the_line_that_says_most():
    text = "WARNING: x\nfatal: no such host\nERROR: git failed\n"
    assert peers.last_complaint(text) == "fatal: no such host"
    assert peers.last_complaint("") == "pip failed, and said nothing"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Results in a new folder, of a machine that is made up."""
    about = {
        "machine": "a machine",
        "python": "3.11",
        "versions": {"jax": "0.1"},
        "code": "abc",
        "quick": False,
    }
    monkeypatch.setattr(results, "made", lambda: dict(about))

    def read():
        return results.Results(tmp_path, ["first", "second"])

    read.about = about
    return read


def row(group, name="a row", **more):
    found = {"group": group, "backend": "jax", "name": name, "peer": "p 1"}
    return found | {"unit": "time"} | (more or frame.summarized([0.5], 1))


def test_rows_are_kept_and_in_order(kept):
    store = kept()
    store.add(row("second"))
    store.add(row("first", failed="it broke"))
    store.add(row("second"))
    again = kept()
    assert [r["group"] for r in again.rows] == ["first", "second"]
    assert len(again.done("second", "jax")) == 1
    assert not again.done("first", "jax")  # Failed: tried again.
    lines = (again.folder / "table.md").read_text().splitlines()
    cells = "second", "a row", "jax 0.1", "0.500 (0.500 to 0.500; 1)", "1.000"
    assert lines.count(f"| {' | '.join(cells)} | p 1 |") == 1
    assert any("not measured: it broke" in line for line in lines)


def test_rows_of_other_code_are_measured_again(kept):
    kept().add(row("first"))
    kept.about["code"] = "another"
    store = kept()
    assert not store.done("first", "jax")
    store.forget("second", "jax")
    assert len(store.rows) == 1
    store.forget("first", "jax")
    assert not store.rows


def test_death_of_a_process_costs_one_row(kept, monkeypatch, capsys):
    begins = [row("first", name) | {"unit": "time"} for name in "ab"]
    begins = [
        {k: begun[k] for k in ("name", "peer", "unit")} for begun in begins
    ]
    asked = []

    def messages(group, backend, done, log, environment):
        names = [r["name"] for r in done]
        asked.append(names)
        if "a" not in names:
            yield begins[0]
            yield -9
        else:
            yield begins[1]
            yield begins[1] | frame.summarized([0.5])
            yield 0

    monkeypatch.setattr(command, "messages", messages)
    store = kept()
    command.measure("first", "jax", store, "jax")
    assert asked == [[], ["a"]]
    lost, found = store.rows
    assert "ended with -9" in lost["failed"]
    assert found["median"] == 0.5


def test_groups_run_once_a_backend():
    asked = command.processes(["corruptions", "mask_updates"], ["jax"])
    assert list(asked) == [("corruptions", "numpy"), ("mask_updates", "jax")]


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["no_group"], "ONLY must name some of"),
        (["--backends", "mxnet"], "Received: mxnet"),
    ],
)
def test_wrong_arguments(arguments, complaint, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tools.bench", *arguments])
    with pytest.raises(SystemExit):
        command.chosen()
    assert complaint in capsys.readouterr().err
