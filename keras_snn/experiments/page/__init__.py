"""One page of a grid: `python -m keras_snn.experiments report`.

    python -m keras_snn.experiments report results/el2n_resnet18-paper

It writes `report.html` into the folder: settings, verdicts, figures, tables
that sort and filter, curves and layer densities of each trial, accuracy by
class and by how hard images are, and the images on which methods disagree, as
they are, corrupted or attacked. All is in the one file, which asks for nothing
from elsewhere. Nothing is trained or attacked: trials kept what is shown.
"""

import argparse
import sys
from pathlib import Path

from keras_snn.experiments.page.content import document
from keras_snn.experiments.page.found import find
from keras_snn.experiments.recipe import RESULTS
from keras_snn.experiments.registry import load_module
from keras_snn.experiments.store import Store
from keras_snn.files import written


def write(folder, store, out=None, **options):
    """Writes the page of a grid, whole or not at all.

    Args:
        folder: Of the grid's results, with a `results.csv`.
        store: The `Store` of its trials.
        out: Path of the page. Defaults to `report.html` in the folder.
        **options: As for `content.document`.

    Returns:
        The path written.
    """
    folder = Path(folder)
    out = folder / "report.html" if out is None else Path(out)
    html = document(find(folder, store), **options)
    with written(out) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return out


def main(arguments=None):
    """Writes the page of a folder; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m keras_snn.experiments report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("folder", type=Path, help="of a grid's results")
    add(
        "--store",
        type=Path,
        default=RESULTS / "store",
        help="folder of all trials: %(default)s",
    )
    add("--data-dir", help="where the data lies, to show images of it")
    add("--out", type=Path, help="the page: report.html in the folder")
    add(
        "--module",
        action="append",
        default=[],
        help="a Python file or module that registers rows of your own",
    )
    add("--margin", type=float, default=0.0, help="by how much worse matches")
    add("--level", type=float, default=0.05, help="of the tests")
    add("--images", type=int, metavar="N", default=24, help="of each setting")
    options = vars(parser.parse_args(arguments))
    for module in options.pop("module"):
        load_module(module)
    store = Store(options.pop("store"), options.pop("data_dir"))
    try:
        path = write(options.pop("folder"), store, **options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"The page is {path}")
    return 0
