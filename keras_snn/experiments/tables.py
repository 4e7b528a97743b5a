"""Results as a table: a row for each setting, the mean over seeds."""

import io

from keras_snn.experiments.grouping import WORDS
from keras_snn.experiments.grouping import accuracies
from keras_snn.experiments.grouping import mean_and_deviation
from keras_snn.experiments.grouping import panels
from keras_snn.experiments.grouping import series
from keras_snn.experiments.grouping import setting
from keras_snn.experiments.grouping import setting_names
from keras_snn.experiments.grouping import varying

WIDTH = 140


def text(results):
    """A table with a row for each setting, sparsity and method.

    Args:
        results: List of rows, of `run_grid`.

    Returns:
        A str of several lines: means over seeds, with the standard deviation
        of accuracies. Trials that failed are named below.
    """
    import rich.box
    import rich.console
    import rich.table

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    columns = columns_of(results)
    for name in columns:
        table.add_column(name, justify="left" if name == "Method" else "right")
    for rows in panels(results).values():
        for line in series(rows):
            for group in line.by_sparsity().values():
                table.add_row(
                    *(str(cell(line, group)) for cell in columns.values())
                )
    file = io.StringIO()
    rich.console.Console(file=file, width=WIDTH).print(table)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    failed = [row for row in results if "error" in row]
    lines += [f"Failed: {row['trial']}: {row['error']}" for row in failed]
    return "\n".join(lines) + "\n"


def columns_of(results):
    """Headings, each with a function of a series and rows of one sparsity."""
    settings = varying(results, setting_names())
    settings = list(dict.fromkeys(["data_ratio", *settings]))
    return {
        "Method": lambda line, rows: line.label,
        **{
            heading(name): (
                lambda line, rows, name=name: _number(setting(rows[0], name))
            )
            for name in settings
        },
        "Sparsity": lambda line, rows: f"{_mean(rows, 'sparsity'):.4f}",
        "Seeds": lambda line, rows: len(rows),
        **{
            label: (lambda line, rows, name=name: _spread(rows, name))
            for name, label in accuracies(results).items()
        },
        "Active": lambda line, rows: f"{_mean(rows, 'active_parameters'):,.0f}",
        **{
            label: (lambda line, rows, name=name: _size(rows, name))
            for name, label in (
                ("dense_tflite_bytes", "Dense TFLite"),
                ("tflite_bytes", "Sparse TFLite"),
            )
            if any(row.get(name) for row in results)
        },
        "Seconds": lambda line, rows: f"{_mean(rows, 'seconds'):.0f}",
    }


def heading(name):
    """A setting's name, as the head of a column."""
    words = WORDS.get(name, name.replace("_", " "))
    return words[0].upper() + words[1:]


def _number(value):
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else value


def _mean(rows, name):
    return mean_and_deviation(rows, name)[0]


def _spread(rows, name):
    """Mean and standard deviation of a column, as text."""
    if not any(name in row for row in rows):
        return ""
    mean, deviation = mean_and_deviation(rows, name)
    return f"{mean:.3f}" + (f" ± {deviation:.3f}" if len(rows) > 1 else "")


def _size(rows, name):
    """A mean file size, as text."""
    rows = [row for row in rows if row.get(name)]
    return f"{_mean(rows, name) / 1024:.0f} KiB" if rows else ""
