"""What networks came to: figures, tables, and a curve of each trial."""

import numpy as np

from keras_snn.experiments import figures
from keras_snn.experiments import tables
from keras_snn.experiments.grouping import accuracies
from keras_snn.experiments.grouping import panels
from keras_snn.experiments.grouping import series
from keras_snn.experiments.page.groups import lines
from keras_snn.experiments.page.markup import Markup
from keras_snn.experiments.page.markup import drawing
from keras_snn.experiments.page.markup import element
from keras_snn.experiments.page.markup import paragraph
from keras_snn.experiments.page.markup import table
from keras_snn.extras import require

# A curve has no more points than can be seen.
POINTS = 200


def drawings(found):
    """The paper's figures of these rows."""
    rows = found.done
    wanted = {"Accuracy by sparsity": figures.accuracy_lines}
    if len(accuracies(rows)) > 1:
        wanted["Accuracies"] = figures.accuracy_points
    if all("layer_densities" in row for row in rows):
        wanted["Density of layers"] = figures.density_lines
    if all("training_flops" in row for row in rows):
        wanted["Accuracy by training FLOPs"] = figures.flops_bubbles
    if not rows:
        yield paragraph("No network is done yet.")
        return
    for title, draw in wanted.items():
        yield drawing(draw(rows, title), title)


def results(found):
    """The table of `table.txt`."""
    if not found.done:
        yield paragraph("No network is done yet.")
        return
    columns = tables.columns_of(found.rows)
    yield table(
        [
            {name: cell(line, group) for name, cell in columns.items()}
            for rows in panels(found.rows).values()
            for line in series(rows)
            for group in line.by_sparsity().values()
        ]
    )


def trials(found):
    """A line for each trial; the page's script adds its curves."""
    names = {
        **{n: f"{kind} accuracy" for n, kind in accuracies(found.rows).items()},
        "nll": "NLL",
        "ece": "ECE",
        "active_parameters": "Active",
        "training_flops": "Training FLOPs",
        "seconds": "Seconds",
    }
    yield table(
        [
            {
                "Trial": element(
                    "a", row["trial"], href="#one", data_trial=row["trial"]
                ),
                "Setting": setting,
                "Method": line.label,
                "Sparsity": row["requested_sparsity"],
                "Seed": row["seed"],
                **{label: row.get(n, "") for n, label in names.items()},
            }
            for setting, line, row in lines(found)
        ]
    )
    if not found.curves:
        yield paragraph(
            "The store has none of these trials: there are no curves, layer "
            "densities and predictions. Option --store says where it is."
        )
        return
    yield element("div", "", id="curves")
    yield element("div", "", id="one")
    yield Markup("<noscript>Curves need JavaScript.</noscript>")


def drawn(found):
    """What the page's script draws: curves and layer densities."""
    to_hex = require("matplotlib.colors", "A page").to_hex
    return [
        {
            "trial": row["trial"],
            "label": f"{line.label} {row['requested_sparsity']:g}, seed "
            f"{row['seed']}, {setting}",
            "method": line.label,
            "colour": to_hex(line.style["color"]),
            "curves": {
                name: _thinned(values)
                for name, values in found.curves[row["trial"]].items()
            },
            "densities": row.get("layer_densities", {}),
        }
        for setting, line, row in lines(found)
        if row["trial"] in found.curves
    ]


def _thinned(values):
    count = len(values)
    kept = np.linspace(0, count - 1, min(count, POINTS)).round().astype(int)
    return [values[place] for place in kept]
