"""The paper's kinds of experiment, each a function of a recipe's options."""

import shlex
import sys

import numpy as np

from keras_snn import datasets
from keras_snn.datasets import as_float
from keras_snn.experiments import cost
from keras_snn.experiments import data
from keras_snn.experiments import figures
from keras_snn.experiments import tables
from keras_snn.experiments import view
from keras_snn.experiments.grid import trials
from keras_snn.experiments.grid_files import GridFiles
from keras_snn.experiments.kinds import KINDS
from keras_snn.experiments.networks import MODELS
from keras_snn.experiments.provenance import provenance
from keras_snn.experiments.run import plan
from keras_snn.experiments.run import run_grid
from keras_snn.experiments.scored import SCORES
from keras_snn.experiments.scored import score_of
from keras_snn.experiments.scored import scorers
from keras_snn.experiments.scored import scores
from keras_snn.experiments.store import Store
from keras_snn.export.tflite_converter import check_installed
from keras_snn.files import write_json

# Of CIFAR-100, as in the official code of the paper.
FIGURE_1_CLASSES = (11, 22, 31, 43, 52)


def compare(settings, figure, *, name="accuracy", export=False):
    """Runs a grid of trials, and shows it as a figure and a table.

    Args:
        settings: The recipe's `Settings`.
        figure: A function of `keras_snn.experiments.figures`.
        name: Of the figure's files, without suffix.
        export: Whether to write each network as TFLite, too.

    Returns:
        The rows, a list of dicts.
    """
    grid = trials(settings.fields)
    store = Store(settings.store, settings.data_dir)
    if settings.dry_run:
        print(planned(grid, store, _devices(settings)), flush=True)
        return []
    # What is missing shall be missed before hours of training.
    figures.pyplot()
    files = GridFiles(settings.out, figure, name, title(grid))
    if settings.plot_only:
        rows = store.rows(grid)
        if not rows:
            raise ValueError(
                "Option --plot-only needs results, or there is nothing to "
                f"plot. Received: none of {len(grid)} trials in {store.folder}"
            )
    else:
        if export:
            check_installed()
        rows = _run(settings, grid, files, export=export)
    files(rows, last=True)
    print(tables.text(rows))
    print(
        f"{len(rows)} of {len(grid)} networks; table and figure are in "
        f"{settings.out}/, networks in {settings.store}/"
    )
    return rows


def _run(settings, grid, files=None, **config):
    """Runs trials, telling first what will be done."""
    for trial in grid:
        data.fingerprint(trial, settings.data_dir)  # Missed now, if at all.
    settings.out.mkdir(parents=True, exist_ok=True)
    about = {
        "fields": {name: v for name, v in settings.fields.items()},
        "trials": [trial.key for trial in grid],
        "title": title(grid),
        "command": shlex.join(sys.orig_argv),
        **provenance(_devices(settings)),
    }
    write_json(settings.out / "grid.json", about)
    print(
        f"{len(grid)} networks, {title(grid)}, on {about['backend']}. Results "
        f"go to {settings.out}/; a run that is stopped goes on where it was.",
        flush=True,
    )
    with view.for_terminal() as shown:
        return run_grid(
            grid,
            settings.store,
            data_dir=settings.data_dir,
            retry=settings.retry,
            runner=settings.runner,
            view=shown,
            on_result=files,
            **config,
            **settings.config,
        )


def title(grid):
    """What a grid is of, in words."""

    def listed(names):
        return ", ".join(dict.fromkeys(names))

    return (
        f"{listed(MODELS[t.model].label for t in grid)} on "
        f"{listed(t.dataset for t in grid)}, "
        f"{listed(KINDS[t.hard].label for t in grid)}"
    )


def planned(grid, store, devices=1):
    """What a grid will train, what each builds on, and what it costs.

    Args:
        grid: List of `Trial`.
        store: The `Store`.
        devices: How many share each training.

    Returns:
        A str of several lines.
    """
    here = provenance(devices)
    steps = plan(grid)
    rows = {row["trial"]: row for row in store.rows(steps)}
    flops, lines = {}, []
    speed = cost.Speed(store.measured(), here)
    for trial in steps:
        row, images = rows.get(trial.key), None
        if store.data_dir is not None:
            images = data.training_images(trial, store.data_dir)
        count = cost.computed_flops(trial, images)
        state = "left"
        if row:
            state = "failed" if "error" in row else "done"
        else:
            flops[trial] = count
        bases = [base.key for base in trial.builds_on]
        lines.append(
            f"{state:6}  {trial.key:44}  {count or np.nan:8.2e} FLOPs  "
            + cost.duration(speed.seconds({trial: count}))
            + (f"  builds on {bases[-1]}" if bases else "")
            + (f" and {len(bases) - 1} more" if bases[1:] else "")
        )
    total = sum(count or 0 for count in flops.values())
    seconds = speed.seconds(flops)
    lines.append(
        f"{len(grid)} networks and {len(steps) - len(grid)} that they build "
        f"on; {len(flops)} left, {total:.2e} FLOPs: "
        + (
            cost.duration(seconds)
            + f", by what was measured on {here['device']}"
            if seconds is not None
            else f"{total / cost.ASSUMED_SPEED / cost.DAY:.2g} days at "
            f"{cost.ASSUMED_SPEED / 1e12:g} TFLOP/s, an assumption: not all "
            "of these networks were measured here yet"
        )
    )
    return "\n".join(lines)


def examples(settings, per_class=5):
    """Shows the images of the highest and the lowest score: Figure 1.

    Of CIFAR-100 those of the classes that the paper shows, of others those of
    the first ten.

    Args:
        settings: The recipe's `Settings`.
        per_class: How many images of each kind and class.

    Returns:
        The rows of the networks that score, a list of dicts.
    """
    trial = trials(settings.fields)[0]
    store = Store(settings.store, settings.data_dir)
    if settings.dry_run:
        print(planned(scorers(trial), store, _devices(settings)), flush=True)
        return []
    figures.pyplot()
    rows = _run(settings, scorers(trial))
    if any("error" in row for row in rows):
        return rows
    train = data.parts(trial, settings.data_dir)[0]
    of_each = scores(trial, train, store)
    labels = range(min(10, datasets.SOURCES[trial.dataset].classes))
    if trial.dataset == "cifar100":
        labels = FIGURE_1_CLASSES
    label = SCORES[score_of(trial)].label
    low, high = {}, {}
    for number in labels:
        of_class = np.flatnonzero(train.y == number)
        order = of_class[np.argsort(of_each[of_class], kind="stable")]
        for shown, rows_of in ((low, order), (high, order[::-1])):
            part = datasets.Split(train.x[rows_of[:per_class]], None)
            shown[str(number)] = as_float(part).x
    figure = figures.example_images(
        {f"Lowest {label}": low, f"Highest {label}": high},
        f"The ends of {trial.dataset} by {label}, by class",
    )
    figures.save(figure, settings.out / score_of(trial))
    print(f"The figure is in {settings.out}/")
    return rows


def _devices(settings):
    return settings.config.get("devices", 1)
