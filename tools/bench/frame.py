"""What every benchmark is made of: cases, and two sides that take turns.

A machine drifts by more than most of what is measured here, so each ratio is
of two runs side by side, and a row is the median and the quartiles of them.
(asv and pytest-benchmark time one side to its end before they begin another,
and pyperf's processes each one; none gives the ratios of pairs.)
"""

import ctypes
import dataclasses
import gc
import math
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Case:
    """A row of the table, before it is measured.

    Attributes:
        name: What is compared, once a group.
        measure: Called without arguments, gives a list of numbers, ours over
            the peer's for each repetition.
        peer: The package that the other side is of, by its name for pip.
        goal: What the median is to be at most; None where nothing is asked.
        unit: Of the numbers, a ratio of times by default.
    """

    name: str
    measure: Callable
    peer: str
    goal: float | None = None
    unit: str = "time"


def quick():
    """Whether to try things out, in minutes: `QUICK=1`.

    Raises:
        ValueError: If QUICK is neither 0 nor 1.
    """
    found = os.environ.get("QUICK") or "0"
    if found not in ("0", "1"):
        raise ValueError(
            "QUICK must be 0 or 1, or how long to measure is not known. "
            f"Received: QUICK={found}"
        )
    return found == "1"


def pick(full, brief):
    """The size of something: `full`, or `brief` where `QUICK=1`."""
    return brief if quick() else full


def seconds(side):
    """How long a call takes: on one core, of its time, not of what passes."""
    clock = time.process_time if _cores() == 1 else time.perf_counter
    began = clock()
    side()
    return clock() - began


def _cores():
    """How many cores this process has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def in_turn(ours, theirs, pairs, before=lambda: None):
    """The ratios of the times of pairs of calls, ours over theirs.

    The side that begins alternates, so that neither profits from being second.

    Args:
        ours: Called without arguments; returns when all its work is done.
        theirs: The peer, likewise.
        pairs: Int, at least 1, how often; once more at first, untimed, to
            compile and load.
        before: Called ahead of each pair, untimed: it makes both sides new.

    Raises:
        ValueError: If there are no pairs.
    """
    if pairs < 1:
        raise ValueError(
            "Argument `pairs` must be at least 1, or nothing is measured. "
            f"Received: pairs={pairs}"
        )
    before(), ours(), theirs()
    ratios = []
    for pair in range(pairs):
        before()
        if pair % 2:
            of_theirs, of_ours = seconds(theirs), seconds(ours)
        else:
            of_ours, of_theirs = seconds(ours), seconds(theirs)
        ratios.append(of_ours / of_theirs)
    return ratios


def summarized(values, goal=None):
    """Median, quartiles, and whether the median is as small as it is to be.

    Args:
        values: Numbers, at least one.
        goal: As in `Case`.

    Returns:
        A dict of `median`, `quartiles`, `repetitions`, `goal` and `met`, the
        last None where there is no goal.

    Raises:
        ValueError: If there are no numbers, or one is not finite.
    """
    values = [float(value) for value in values]
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(
            "A row needs finite numbers, or it has no median. "
            f"Received: {values}"
        )
    lower, median, upper = (
        statistics.quantiles(values, n=4, method="inclusive")
        if len(values) > 1
        else 3 * values
    )
    return {
        "median": median,
        "quartiles": [lower, upper],
        "repetitions": len(values),
        "goal": goal,
        "met": None if goal is None else median <= goal,
    }


def peak_bytes(side):
    """The most that this process holds while it does something, in bytes.

    Memory that was freed before is given back first, and the mark of the peak
    is set back to what is held. Linux only.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    side()
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def use_cores(count):
    """Leaves this process so many cores, whatever library computes.

    Call it before NumPy or a backend is imported: they ask when they are.
    Without affinity, as on macOS, XLA takes all cores all the same.

    Raises:
        ValueError: If there are not as many.
    """
    if not 1 <= count <= _cores():
        raise ValueError(
            f"The number of cores must be from 1 to {_cores()}, which there "
            f"are, or threads wait for one another. Received: {count}"
        )
    for name in (
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTEROP_THREADS",
        "TF_NUM_INTRAOP_THREADS",
    ):
        os.environ[name] = str(count)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:count])
