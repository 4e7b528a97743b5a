"""A group of benchmarks, in the process that measures it.

    KERAS_BACKEND=jax python -m tools.bench.child masked_step

It says what it does in lines that begin with `MARK`, JSON behind it: the row
that begins, then what became of it. `python -m tools.bench` reads them.
"""

import argparse
import importlib
import json
import sys
import traceback

from tools.bench import frame
from tools.bench import peers

MARK = "@benchmark "


def say(message):
    """Writes a line for the parent."""
    print(MARK + json.dumps(message), flush=True)


def measured(case):
    """What a case gives: the numbers, or the reason why there are none."""
    try:
        peers.check_installed(case.peer)
    except ImportError as error:
        return {"failed": str(error), "missing": True}
    try:
        return frame.summarized(case.measure(), case.goal)
    except Exception as error:  # Whatever it is, the next row goes on.
        traceback.print_exc()
        lines = str(error).strip().splitlines() or [""]
        return {"failed": f"{type(error).__name__}: {lines[0]}"}


def main():
    """Measures all cases of a group but those that are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("group")
    parser.add_argument("--cores", type=int, help="default: all there are")
    parser.add_argument(
        "--done", type=json.loads, default=[], help="JSON: names of rows"
    )
    options = parser.parse_args()
    if options.cores:
        frame.use_cores(options.cores)
    group = importlib.import_module(f"tools.bench.{options.group}")
    for case in group.cases():
        row = {
            "name": case.name,
            "peer": peers.titled(case.peer),
            "unit": case.unit,
        }
        if [row["name"], row["peer"]] in options.done:
            continue
        say(row)
        say(row | measured(case))


if __name__ == "__main__":
    sys.exit(main())
