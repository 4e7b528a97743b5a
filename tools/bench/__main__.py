"""Measures what this package costs against its peers: `make bench`.

    python -m tools.bench masked_step corruptions --backends jax torch

Each group runs in a process of its own, once a backend. What is measured is
kept in one results file, `results.json`, and its table, `table.md`, as soon as
it is there: the same command goes on where it was stopped, and tries again what
failed. A change of the code or of a version measures anew.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from tools.bench import frame
from tools.bench import results
from tools.bench.child import MARK

BACKENDS = ("tensorflow", "jax", "torch")
MINUTES = 30  # A process.


@dataclasses.dataclass(frozen=True)
class Group:
    """How a module of this folder is run.

    Attributes:
        backends: On which; none where it does not matter.
        cores: How many it gets; None for all.
    """

    backends: tuple = BACKENDS
    cores: int | None = None


GROUPS = {
    "masked_step": Group(),
    "tfmot_step": Group(("tensorflow",)),
    "torch_step": Group(("torch",)),
    "attack_step": Group(cores=1),
    "foolbox_pgd": Group(),
    "autoattack": Group(("torch",), cores=1),
    "corruptions": Group((), cores=1),
    "el2n": Group(),
    "mask_updates": Group(("jax", "torch"), cores=1),
    "shrunk": Group(cores=1),
    "sparse_compute": Group(cores=1),
    "training_gradients": Group(),
    "import_time": Group(),
    "recompilations": Group(("tensorflow", "jax")),
}


def processes(groups, backends):
    """Pairs of a group and a backend, by backend "numpy" where none matters."""
    for name in groups:
        asked = GROUPS[name].backends
        for backend in [b for b in backends if b in asked] or (
            [] if asked else ["numpy"]
        ):
            yield name, backend


def messages(group, backend, done, log, environment):
    """What a process says, as it says it, and its exit code at the end."""
    command = [sys.executable, "-u", "-m", "tools.bench.child", group]
    command += ["--done", json.dumps([[r["name"], r["peer"]] for r in done])]
    if GROUPS[group].cores:
        command += ["--cores", str(GROUPS[group].cores)]
    with subprocess.Popen(
        command,
        cwd=results.HOME,
        env={**os.environ, **environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stderr=log,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        clock = threading.Timer(60 * MINUTES, process.kill)
        clock.start()
        try:
            for line in process.stdout:
                if line.startswith(MARK):
                    yield json.loads(line.removeprefix(MARK))
                else:
                    log.write(line)
        except BaseException:
            process.kill()
            raise
        finally:
            clock.cancel()
    yield process.returncode


def measure(group, backend, kept, first_backend):
    """Runs a group until each of its rows is measured, or failed.

    A process that dies costs the row that it was at; the next goes on behind.
    """
    kept.forget(group, backend)
    done = kept.done(group, backend)
    environment = {
        "KERAS_BACKEND": first_backend if backend == "numpy" else backend
    }
    place = {"group": group, "backend": backend}
    with open(kept.folder / f"{group}-{backend}.log", "w", 1) as log:
        code, begun = None, None
        while code != 0:
            begun = None
            for message in messages(group, backend, done, log, environment):
                if isinstance(message, int):
                    code = message
                elif "median" in message or "failed" in message:
                    begun = None
                    done.append(message)
                    add(kept, place | message)
                else:
                    begun = message
            if code:
                why = {"failed": f"the process ended with {code}: {log.name}"}
                lost = begun or {"name": "all", "peer": "", "unit": "time"}
                done.append(lost)
                add(kept, place | lost | why)
                if not begun:
                    return


def add(kept, row):
    """Keeps a row, and shows it."""
    kept.add(row)
    missed = " (missed)" if row.get("met") is False else ""
    print(
        f"{row['group']}, {row['backend']}: {row['name']}, {row['peer']}: "
        f"{results.shown(row)}{missed}",
        flush=True,
    )


def chosen():
    """The arguments, checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help=", ".join(GROUPS))
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS))
    parser.add_argument("--folder", type=Path, help="of the results")
    options = parser.parse_args()
    for what, asked, there in (
        ("ONLY", options.groups, GROUPS),
        ("BACKEND", options.backends, BACKENDS),
    ):
        unknown = sorted(set(asked) - set(there))
        if unknown:
            parser.error(
                f"{what} must name some of {', '.join(there)}, or nothing is "
                f"measured. Received: {', '.join(unknown)}"
            )
    try:
        brief = frame.quick()
    except ValueError as error:
        parser.error(str(error))
    options.folder = options.folder or Path(
        "results", "bench-quick" if brief else "bench"
    )
    return options


def main():
    """Measures what is asked for; 1 where a row failed that should not."""
    options = chosen()
    kept = results.Results(options.folder, GROUPS)
    if os.getloadavg()[0] > 0.5:
        print(
            f"The machine is busy: its load is {os.getloadavg()[0]:.1f}. Pairs "
            "bear that in part; better wait.",
            flush=True,
        )
    asked = list(processes(options.groups or GROUPS, options.backends))
    for group, backend in asked:
        measure(group, backend, kept, options.backends[0])
    print(f"The table: {options.folder / 'table.md'}")
    return any(
        "failed" in row and not row.get("missing")
        for row in kept.rows
        if (row["group"], row["backend"]) in asked
    )


if __name__ == "__main__":
    sys.exit(main())
