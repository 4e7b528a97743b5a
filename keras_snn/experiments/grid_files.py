"""The files of a grid: a table, rows and a figure, there from the first."""

import csv
import time
from pathlib import Path

from keras_snn.experiments import figures
from keras_snn.experiments import tables
from keras_snn.files import write_csv
from keras_snn.files import written

# Drawing takes at most about this share of the time.
SHARE = 0.05


class GridFiles:
    """Writes `results.csv`, `table.txt` and the figure of a grid.

    Args:
        folder: A `pathlib.Path`; made if missing.
        figure: A function of `keras_snn.experiments.figures`.
        name: Of the figure's files, without suffix.
        title: Of the figure.
    """

    def __init__(self, folder, figure, name, title):
        self.folder = folder
        self.figure = figure
        self.name = name
        self.title = title
        self._next = 0.0

    def __call__(self, rows, last=False):
        """Writes what there is so far, if it is time to.

        Args:
            rows: List of rows, of `run_grid`.
            last: Whether nothing comes any more: it is written then.
        """
        began = time.perf_counter()
        if began < self._next and not last:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        flat = [
            {n: v for n, v in row.items() if not isinstance(v, dict | tuple)}
            for row in rows
        ]
        write_csv(self.folder / "results.csv", flat)
        with written(self.folder / "table.txt") as temporary:
            temporary.write_text(tables.text(rows))
        if any("error" not in row for row in rows):
            drawn = self.figure(rows, self.title)
            figures.save(drawn, self.folder / self.name)
        ended = time.perf_counter()
        self._next = ended + (ended - began) / SHARE


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
