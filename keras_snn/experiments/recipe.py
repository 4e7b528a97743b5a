"""The command line of a recipe: its options, and what becomes of errors."""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from keras_snn.experiments.grid import spelt
from keras_snn.experiments.grid import trials
from keras_snn.experiments.registry import LOADED
from keras_snn.experiments.registry import load_module
from keras_snn.experiments.runners.in_turn import in_turn
from keras_snn.experiments.runners.on_ray import OnRay
from keras_snn.experiments.trial import TYPES
from keras_snn.experiments.trial import all_options

RESULTS = Path("results")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What a recipe is asked to do.

    Attributes:
        fields: The grid: see `keras_snn.experiments.grid.trials`.
        out: Folder for table and figure.
        store: Folder of the `Store` of trials.
        data_dir: Where the data lies, as for `keras_snn.datasets.load`.
        retry: Whether to run anew what failed.
        plot_only: Whether to show what there is, and run nothing.
        dry_run: Whether to tell what would be run, and run nothing.
        runner: What runs the trials, as for `run_grid`.
        config: Fields of `RunConfig`.
    """

    fields: dict
    out: Path
    store: Path = RESULTS / "store"
    data_dir: str | None = None
    retry: bool = False
    plot_only: bool = False
    dry_run: bool = False
    runner: Callable = in_turn
    config: dict = dataclasses.field(default_factory=dict)


def options(doc, presets, arguments=None, name=None):
    """The settings of a recipe from its command line.

    Args:
        doc: The recipe's docstring, for `--help`.
        presets: Dict of preset name to a dict of fields and options of
            `Trial`, each a value or a list of values.
        arguments: List of strings. Defaults to those of the process.
        name: Of the recipe, for its folder. Defaults to that of the script.

    Returns:
        `Settings`.

    Raises:
        ValueError: If a preset has a field that a trial has not.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--module", action="append", default=[])
    for module in first.parse_known_args(arguments)[0].module:
        load_module(module)
    chosen = vars(_parser(doc, presets).parse_args(arguments))
    preset = chosen["preset"]
    fields = {
        field: chosen[field]
        for field in (*TYPES, *all_options())
        if chosen.get(field) is not None
    }
    name = name or Path(sys.argv[0] if arguments is None else "recipe").stem
    settings = Settings(
        fields={**spelt(presets[preset]), **fields},
        out=chosen["out"] or RESULTS / f"{name}-{preset}",
        store=chosen["store"],
        data_dir=chosen["data_dir"],
        retry=chosen["retry"],
        plot_only=chosen["plot_only"],
        dry_run=chosen["dry_run"],
        runner=_runner(chosen, sys.argv[:1] if arguments is None else []),
        config={
            "checkpoint_interval": chosen["checkpoint_interval"],
            "devices": chosen["devices"],
            "tensorboard": chosen["tensorboard"],
            "keep_networks": not chosen["drop_networks"],
        },
    )
    _check_folders(settings)
    trials(settings.fields)  # What is wrong with them is said now.
    return settings


def _parser(doc, presets):
    """What reads the command line of a recipe."""
    parser = argparse.ArgumentParser(
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        usage="%(prog)s [options]",
    )
    add = parser.add_argument_group("the run").add_argument
    add("--preset", choices=sorted(presets), default="quick")
    add("--data-dir", help="a local .npz file or folder with the data")
    add("--out", type=Path, help="folder for table and figure")
    add(
        "--store",
        type=Path,
        default=RESULTS / "store",
        help="folder of all trials, shared by recipes: %(default)s",
    )
    add("--retry", action="store_true", help="run anew what failed")
    add("--plot-only", action="store_true", help="show what there is")
    add("--dry-run", action="store_true", help="tell what would be run")
    add("--checkpoint-interval", type=int, metavar="EPOCHS", default=1)
    add(
        "--devices",
        type=int,
        metavar="N",
        default=1,
        help="let the first N GPUs (or CPUs, where there is none) share each "
        "training, on JAX or TensorFlow",
    )
    add("--tensorboard", metavar="FOLDER")
    add("--drop-networks", action="store_true", help="keep results alone")
    add(
        "--module",
        action="append",
        help="a Python file or module to import first: methods, networks, "
        "data and kinds of your own",
    )
    add = parser.add_argument_group("trials beside each other").add_argument
    add(
        "--workers",
        type=int,
        metavar="N",
        help="run this many at once on this machine, by Ray",
    )
    add(
        "--ray",
        metavar="ADDRESS",
        help="run them on a Ray cluster, of which this machine is a node: auto",
    )
    add(
        "--cpus-per-trial",
        type=int,
        metavar="N",
        help="and as many threads: by default the machine's, shared by the "
        "workers; on a cluster 1",
    )
    add("--gpus-per-trial", type=float, metavar="N", default=0)
    _add_fields(parser)
    return parser


def _check_folders(settings):
    for option in ("out", "store"):
        folder = getattr(settings, option)
        if any(p.is_file() for p in (folder, *folder.parents)):
            raise ValueError(
                f"Option --{option} must be a folder, or one to be made, into "
                f"which results go. Received: {folder}, where a file is"
            )


def _runner(chosen, scripts):
    """What the options say of where trials run; scripts register rows, too."""
    if chosen["ray"] is None and chosen["workers"] is None:
        return in_turn
    return OnRay(
        address=chosen["ray"],
        workers=chosen["workers"],
        cpus=chosen["cpus_per_trial"],
        gpus=chosen["gpus_per_trial"],
        modules=tuple(
            dict.fromkeys([s for s in scripts if s.endswith(".py")] + LOADED)
        ),
    )


def _add_fields(parser):
    """An option for each field of a trial, and each option of a row."""
    group = parser.add_argument_group(
        "fields of a trial",
        "Several values of one span a grid. What each means is in the "
        "docstring of keras_snn.experiments.Trial.",
    )
    defaults = all_options()
    kinds = TYPES | {name: type(value) for name, value in defaults.items()}
    del kinds["options"]
    for name, kind in kinds.items():
        flags = [f"--{name.replace('_', '-')}"]
        if name in ("method", "seed"):
            flags.append(f"{flags[0]}s")
        group.add_argument(
            *flags,
            dest=name,
            nargs="*" if kind in (bool, tuple) else "+",
            action=_Switch if kind is bool else None,
            type={bool: _boolean, tuple: float}.get(kind, kind),
            metavar=name.upper(),
        )


class _Switch(argparse.Action):
    """A bool: `--nesterov` alone is true."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, values or [True])


def _boolean(text):
    known = {"true": True, "false": False, "1": True, "0": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"true or false, not {text!r}")
    return known[text.lower()]


def main(recipe, doc, presets, arguments=None):
    """Runs a recipe; what a user got wrong is one line, not a traceback.

    Args:
        recipe: A function of the `Settings` that returns rows.
        doc: The recipe's docstring.
        presets: As for `options`.
        arguments: List of strings. Defaults to those of the process.

    Returns:
        The exit status: 0, or 1 if a trial failed, or 2 if the run did.
    """
    # TensorFlow takes a new network for a function traced too often.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        rows = recipe(options(doc, presets, arguments)) or []
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        return 130
    failed = [row for row in rows if "error" in row]
    if failed:
        print(
            f"{len(failed)} of {len(rows)} trials failed: see the files "
            "*.failed.json in the store; --retry runs them anew",
            file=sys.stderr,
        )
    return 1 if failed else 0
