"""Results as a table: a row for each method, the mean over seeds."""

import statistics

from keras_snn.experiments.methods import METHODS


def show(results):
    """Prints a table with a row for each method: the mean over seeds.

    Args:
        results: List of dicts, of `run_grid`.
    """
    import rich.box
    import rich.console
    import rich.table

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    columns = {
        "Method": lambda rows: METHODS[rows[0]["method"]].label,
        "Data": lambda rows: f"{rows[0]['data_ratio']:g}",
        "Sparsity": lambda rows: f"{mean(rows, 'sparsity'):.4f}",
        "Clean": lambda rows: spread(rows, "clean_accuracy"),
        "Adversarial": lambda rows: spread(rows, "adversarial_accuracy"),
        "Active": lambda rows: f"{mean(rows, 'active_parameters'):,.0f}",
        "Dense TFLite": lambda rows: size(rows, "dense_tflite_bytes"),
        "Sparse TFLite": lambda rows: size(rows, "tflite_bytes"),
        "Seconds": lambda rows: f"{mean(rows, 'seconds'):.0f}",
    }
    for name in columns:
        table.add_column(name, justify="left" if name == "Method" else "right")
    for rows in by_setting(results):
        table.add_row(*(column(rows) for column in columns.values()))
    rich.console.Console(width=110, highlight=False).print(table)


def by_setting(results):
    """Groups of results that differ in their seed alone, in order."""
    groups = {}
    for row in results:
        key = (row["data_ratio"], row["requested_sparsity"], row["method"])
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def mean(rows, name):
    """The mean of a column."""
    return statistics.fmean(row[name] for row in rows)


def spread(rows, name):
    """Mean and standard deviation of a column, as text."""
    values = [row[name] for row in rows if name in row]
    if not values:
        return ""
    text = f"{statistics.fmean(values):.3f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.3f}"
    return text


def size(rows, name):
    """A mean file size, as text."""
    values = [row[name] for row in rows if row.get(name) is not None]
    return f"{statistics.fmean(values) / 1024:.0f} KiB" if values else ""
