"""What every recipe shares: its options, its folder, its table."""

import argparse
import importlib.metadata
import itertools
import logging
import platform
import sys
from pathlib import Path

import keras

from keras_snn import datasets
from keras_snn.experiments.methods import METHODS
from keras_snn.experiments.run import run_grid
from keras_snn.experiments.trial import Trial
from keras_snn.files import read_json
from keras_snn.files import write_csv
from keras_snn.files import write_json

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "keras-cv")

# Seconds for one pass of one image through a network of width 1, forward and
# backward, on two cores: measured once, and good for a rough guess.
SECONDS_A_PASS = {
    "vgg16": 0.02,
    "vgg19": 0.025,
    "resnet18": 0.035,
    "resnet34": 0.07,
}


def options(doc, presets, arguments=None):
    """The options of a recipe from its command line.

    Args:
        doc: The recipe's docstring, for `--help`.
        presets: Dict of preset name to a dict of options: fields of `Trial`,
            and `methods`, `sparsity`, `data_ratio`, `severity`, `seeds`, which
            are lists.
        arguments: List of strings. Defaults to those of the process.

    Returns:
        An `argparse.Namespace` with all options set.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--preset", choices=sorted(presets), default="quick")
    add("--dataset", choices=sorted(datasets.SOURCES))
    add("--data-dir", help="a local .npz file or folder with the data")
    add("--methods", nargs="+", choices=sorted(METHODS), metavar="METHOD")
    add("--sparsity", nargs="+", type=float, metavar="S")
    add("--data-ratio", nargs="+", type=float, metavar="R")
    add("--severity", nargs="+", type=int, metavar="1..6")
    add("--seeds", nargs="+", type=int, metavar="SEED")
    add("--epochs", type=int)
    add("--width", type=float, help="factor on every layer's channels")
    add("--batch-size", type=int)
    add("--learning-rate", type=float)
    add("--interval", type=int, help="epochs between mask updates")
    add("--out", type=Path, help="folder for the results")
    chosen = vars(parser.parse_args(arguments))
    given = {name: value for name, value in chosen.items() if value is not None}
    settings = {**presets[chosen["preset"]], **given}
    name = Path(sys.argv[0] if arguments is None else "recipe").stem
    settings.setdefault("out", Path("results") / f"{name}-{chosen['preset']}")
    settings.setdefault("data_dir", None)
    return argparse.Namespace(**settings)


def trials(settings):
    """The grid of trials that the options span.

    Args:
        settings: What `options` returned.

    Returns:
        A list of `Trial`, each once: a dense network has one sparsity.
    """
    spanned = ("data_ratio", "severity", "seed", "sparsity", "method")
    fields = {
        name: value
        for name, value in vars(settings).items()
        if name in Trial.__dataclass_fields__ and name not in spanned
    }
    grid = itertools.product(
        settings.data_ratio,
        settings.severity,
        settings.seeds,
        settings.sparsity,
        [method for method in METHODS if method in settings.methods],
    )
    return list(
        dict.fromkeys(
            Trial(**fields, **dict(zip(spanned, values, strict=True)))
            for values in grid
        )
    )


def begin(settings, grid):
    """Tells what a recipe will do, and takes its folder for it.

    Args:
        settings: What `options` returned.
        grid: List of `Trial`.

    Returns:
        The training images and their labels, all of them.

    Raises:
        ValueError: If the folder holds another configuration's results.
    """
    train = datasets.load(grid[0].dataset, data_dir=settings.data_dir)[0]
    claim(settings.out, configuration(settings, grid, train))
    print(
        f"{len(grid)} networks ({grid[0].model}, width {grid[0].width:g}) on "
        f"{len(train.x):,} images of {grid[0].dataset}, {grid[0].epochs} "
        f"epochs each, on {keras.backend.backend()}: very roughly "
        f"{minutes(grid, len(train.x)):.0f} minutes on two cores.\n"
        f"Results go to {settings.out}/; a run that is stopped goes on where "
        "it was.",
        flush=True,
    )
    return train


def run(settings, grid, *, export=False):
    """Runs a recipe's grid, telling first what it will do.

    Writes `config.json` before and `results.csv` after.

    Args:
        settings: What `options` returned.
        grid: List of `Trial`.
        export: Whether to write each network as TFLite, too.

    Returns:
        A list of results, dicts.
    """
    begin(settings, grid)
    results = run_grid(
        grid,
        settings.out,
        data_dir=settings.data_dir,
        export=export,
        say=lambda line: print(line, flush=True),
    )
    table = [
        {name: v for name, v in row.items() if name != "layer_densities"}
        for row in results
    ]
    write_csv(settings.out / "results.csv", table)
    return results


def minutes(grid, images):
    """A guess at the time that a grid takes on two cores."""
    seconds = 0.0
    for trial in grid:
        attacked = trial.hard == "adversarial"
        passes = 1 + (trial.attack_steps if attacked else 0)
        seconds += (
            SECONDS_A_PASS[trial.model]
            * trial.width**2
            * passes
            * images
            * trial.data_ratio
            * trial.epochs
        )
        seconds += 20  # To compile, to evaluate, to export.
    return seconds / 60


def configuration(settings, grid, train):
    """Everything that decides the results, and the versions they came with."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "options": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(settings).items()
        },
        "trials": [trial.key for trial in grid],
        "training_images": len(train.x),
        "backend": keras.backend.backend(),
        "versions": versions,
    }


def claim(folder, config):
    """Takes a folder for one configuration.

    Raises:
        ValueError: If it holds the results of another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    if path.exists():
        before = read_json(path)
        differing = sorted(
            name
            for name in {*before, *config} - {"versions"}
            if before.get(name) != config.get(name)
        )
        if differing:
            raise ValueError(
                "A folder holds the results of one configuration, or they "
                f"would be mixed: choose another with --out. Received: "
                f"{str(folder)!r}, which differs in {', '.join(differing)}"
            )
    write_json(path, config)


def main(recipe, doc, presets, arguments=None):
    """Runs a recipe; what a user got wrong is one line, not a traceback.

    Args:
        recipe: A function of the options.
        doc: The recipe's docstring.
        presets: As for `options`.
        arguments: List of strings. Defaults to those of the process.

    Returns:
        The exit status.
    """
    settings = options(doc, presets, arguments)
    # TensorFlow takes a new network for a function traced too often.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        recipe(settings)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
