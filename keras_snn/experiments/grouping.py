"""Which results belong together: in a panel, in a line, in a row of a table."""

import dataclasses
import statistics

from keras_snn.experiments.kinds import KINDS
from keras_snn.experiments.methods import METHODS
from keras_snn.experiments.networks import MODELS
from keras_snn.experiments.registry import claimed
from keras_snn.experiments.trial import TYPES

# Names of fields in titles, where they are not their own.
WORDS = {
    "data_ratio": "data ratio",
    "requested_sparsity": "sparsity",
    "el2n_epoch": "EL2N epoch",
    "el2n_models": "EL2N models",
}


def setting_names():
    """What tells results apart beside method, sparsity and seed."""
    fields = [
        name
        for name in TYPES
        if name not in {"method", "sparsity", "seed", "options"}
        and name not in claimed(METHODS)
    ]
    tables = (MODELS, KINDS)
    options = [o for t in tables for row in t.values() for o in row.options]
    return list(dict.fromkeys([*fields, *options]))


def setting(row, name):
    """What a row has under a name of `setting_names`.

    None where that does not matter to its network or kind of hard samples:
    what is drawn at random has no epoch of scores.
    """
    for field, table in (("model", MODELS), ("hard", KINDS)):
        own = table.get(row.get(field))
        if own is None:
            continue
        options = {option for each in table.values() for option in each.options}
        of_others = options - set(own.options)
        if own.fields is not None:
            of_others |= claimed(table) - set(own.fields)
        if name in of_others:
            return None
    return row.get(name)


def varying(rows, names):
    """The names among them of which the rows have several values."""
    return [n for n in names if len({str(row.get(n)) for row in rows}) > 1]


def panels(results, *, by_sparsity=False):
    """Rows by all that tells them apart, but method and seed.

    Args:
        results: List of rows; those of failed trials are left out.
        by_sparsity: Whether each sparsity is a panel of its own. A dense
            network, which has none, then stands in each.

    Returns:
        A dict of title to list of rows.
    """
    results = [row for row in results if "error" not in row]
    names = varying(results, setting_names())
    names = ["data_ratio", *(name for name in names if name != "data_ratio")]
    found = {}
    for row in results:
        values = tuple(setting(row, name) for name in names)
        found.setdefault(values, []).append(row)
    titled = {}
    for values, rows in found.items():
        title = ", ".join(
            in_words(name, value)
            for name, value in zip(names, values, strict=True)
            if value is not None
        )
        sparsities = {
            row["requested_sparsity"]: None
            for row in rows
            if row["method"] != "dense"
        }
        if not by_sparsity or not sparsities:
            titled[title] = rows
            continue
        for sparsity in sparsities:
            titled[f"{title}, sparsity {sparsity:g}"] = [
                row
                for row in rows
                if row["method"] == "dense"
                or row["requested_sparsity"] == sparsity
            ]
    return titled


def in_words(name, value):
    """A setting as a title has it."""
    value = f"{value:g}" if isinstance(value, float) else value
    return f"{WORDS.get(name, name.replace('_', ' '))} {value}"


@dataclasses.dataclass(frozen=True)
class Series:
    """Results of one method, in figures and tables.

    Attributes:
        method: Its name.
        label: Its label, and the options of the method in which it differs
            from other series of the method.
        rows: Its rows.
        number: Which of the method's series it is, from 0.
    """

    method: str
    label: str
    rows: list
    number: int = 0

    @property
    def style(self):
        """Colour, marker and line style, for matplotlib."""
        method = METHODS[self.method]
        return {
            "color": method.colour,
            "marker": method.marker,
            "ls": ("-", "--", ":", "-.")[self.number % 4],
        }

    def by_sparsity(self):
        """The rows by the sparsity that was asked for, in order."""
        groups = {}
        for row in sorted(self.rows, key=lambda r: r["requested_sparsity"]):
            groups.setdefault(row["requested_sparsity"], []).append(row)
        return groups


def series(rows):
    """The rows by method, in the order of `METHODS`."""
    found = []
    for name, method in METHODS.items():
        mine = [r for r in rows if r["method"] == name and "error" not in r]
        own = claimed(METHODS) if method.fields is None else method.fields
        names = varying(mine, [*own, *method.options])
        groups = {}
        for row in mine:
            groups.setdefault(tuple(row[n] for n in names), []).append(row)
        for number, (values, group) in enumerate(groups.items()):
            label = [method.label, *map(in_words, names, values)]
            found.append(Series(name, ", ".join(label), group, number))
    return found


def accuracies(rows):
    """The accuracies that were measured: a dict of column to label."""
    names = dict.fromkeys(
        name for row in rows for name in row if name.endswith("_accuracy")
    )
    return {
        name: name.removesuffix("_accuracy").replace("_", " ").capitalize()
        for name in names
    }


def mean_and_deviation(rows, name):
    """Of a column, over seeds: the deviation is 0 where there is one alone."""
    values = [row[name] for row in rows if name in row]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return statistics.fmean(values), spread
