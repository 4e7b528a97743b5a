"""The claims of a file of results, in a terminal."""

import argparse
import inspect
import sys

from keras_snn.experiments import statistics
from keras_snn.experiments.statistics.of_means import INTERVALS
from keras_snn.experiments.statistics.paired_seeds import FAMILIES


def main(arguments=None):
    """Prints the claims of a file of results; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m keras_snn.experiments.statistics",
        description=inspect.cleandoc(statistics.__doc__),
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
        rows = statistics.read_rows(options.pop("results"))
        found = statistics.claims(rows, **options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(statistics.text(found), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
