"""The results file, and the table of it."""

import datetime
import hashlib
import json
import os
import platform
import re
import subprocess
from pathlib import Path

from tools.bench import frame
from tools.bench import peers

HOME = Path(__file__).parents[2]
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "numba")
HEAD = """\
# What it costs, against peers

Ours over the peer's, so below 1 ours takes less: the median, the quartiles \
(and how many pairs), in turn in one process. Rows without a goal are there to \
compare with.

| Benchmark | | Backend | Ours over the peer's | At most | Peer |
|---|---|---|---|---|---|
"""


def made():
    """What a row depends on: the machine, the versions, and the code."""
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "versions": {name: peers.version(name) for name in PACKAGES},
        "code": code(),
        "quick": frame.quick(),
    }


def machine():
    """The processor, its cores and the memory, a line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*: (.*)", info.read_text())
        cpu = found[1] if found else cpu
    line = f"{cpu}, {os.cpu_count()} cores"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        line += f", {pages / 2**30:.0f} GiB"
    return f"{line}, {platform.system()} {platform.release()}"


def code():
    """A digest of what is run."""
    digest = hashlib.sha256()
    for folder in ("keras_snn", "tools/bench"):
        for path in sorted((HOME / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def commit():
    """The commit that stands here, where there is one."""
    git = subprocess.run(
        ["git", "-C", HOME, "describe", "--always", "--dirty"],
        capture_output=True,
        check=False,
        text=True,
    )
    return git.stdout.strip() or "none"


def key(row):
    """What tells a row from all others."""
    return row["group"], row["backend"], row["name"], row["peer"]


class Results:
    """All rows, in `results.json` and `table.md` of a folder.

    Args:
        folder: Where they are, made where it is missing.
        order: Names of all groups, as the table has them.
    """

    def __init__(self, folder, order):
        self.folder, self.order, self.now = Path(folder), list(order), made()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "results.json"
        self.rows = json.loads(path.read_text()) if path.exists() else []

    def done(self, group, backend):
        """The rows of a group that need not be measured again."""
        return [
            row
            for row in self.rows
            if (row["group"], row["backend"]) == (group, backend)
            and row["made"] == self.now
            and "failed" not in row
        ]

    def forget(self, group, backend):
        """Drops what is to be measured again."""
        done = self.done(group, backend)
        self.rows = [
            row
            for row in self.rows
            if (row["group"], row["backend"]) != (group, backend) or row in done
        ]

    def add(self, row):
        """Keeps a row, in both files."""
        when = datetime.datetime.now(datetime.timezone.utc)
        row |= {
            "date": when.isoformat(timespec="seconds"),
            "load": os.getloadavg()[0],
            "commit": commit(),
            "made": self.now,
        }
        self.rows = [old for old in self.rows if key(old) != key(row)] + [row]
        self.rows.sort(key=lambda row: self.order.index(row["group"]))
        self.write("results.json", json.dumps(self.rows, indent=1) + "\n")
        self.write("table.md", table(self.rows))

    def write(self, name, text):
        """Writes a file, whole or not at all."""
        temporary = self.folder / f".{name}.{os.getpid()}"
        temporary.write_text(text)
        temporary.replace(self.folder / name)


def number(value):
    """With three decimals, or with as many as tell something."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def shown(summary):
    """A median with its quartiles, or why there is none."""
    if "failed" in summary:
        return f"not measured: {summary['failed']}"
    lower, upper = map(number, summary["quartiles"])
    return (
        f"{number(summary['median'])} ({lower} to {upper}; "
        f"{summary['repetitions']})"
    )


def goal(row):
    """What was to be, and if it is."""
    if row.get("goal") is None:
        return ""
    return number(row["goal"]) + ("" if row["met"] else ", missed")


def table(rows):
    """The table of all rows, in Markdown, and what they were measured on."""
    text = HEAD
    for row in rows:
        version = row["made"]["versions"].get(row["backend"])
        unit = "" if row["unit"] == "time" else f" ({row['unit']})"
        cells = (
            row["group"],
            row["name"] + unit,
            f"{row['backend']} {version}" if version else row["backend"],
            shown(row),
            goal(row),
            row["peer"],
        )
        text += f"| {' | '.join(c.replace('|', '/') for c in cells)} |\n"
    conditions = {json.dumps(row["made"], sort_keys=True) for row in rows}
    for condition in sorted(conditions):
        found = json.loads(condition)
        of_these = [row for row in rows if row["made"] == found]
        dates = sorted(row["date"] for row in of_these)
        commits = ", ".join(sorted({row["commit"] for row in of_these}))
        loads = sorted(row["load"] for row in of_these)
        versions = ", ".join(
            f"{name} {version}" for name, version in found["versions"].items()
        )
        text += (
            f"\nRows: {len(of_these)}. {found['machine']}; Python "
            f"{found['python']}, {versions}; commit {commits}"
            f"{', quick' if found['quick'] else ''}; {dates[0]} to "
            f"{dates[-1]}; load {loads[0]:.1f} to {loads[-1]:.1f}.\n"
        )
    return text
