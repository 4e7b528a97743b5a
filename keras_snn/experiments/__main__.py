"""A grid in a file: `python -m keras_snn.experiments grid.toml`.

```toml
figure = "accuracy_lines"  # or accuracy_points, density_lines, flops_bubbles
modules = ["mine.py"]  # what registers methods of your own, if any

[grid]  # fields of a trial: a value, or a list of them
dataset = "digits"
model = "resnet18"
method = ["dense", "set"]
sparsity = [0.5, 0.9]
width = 0.125
epochs = 6
```

Any option of a recipe may follow, and goes before what the file says.

`python -m keras_snn.experiments report FOLDER` writes one page of what came of
a grid or a recipe: see its `--help`.
"""

import functools
import importlib.util
import sys
from pathlib import Path

from keras_snn.experiments import figures
from keras_snn.experiments import page
from keras_snn.experiments import recipe
from keras_snn.experiments import studies
from keras_snn.experiments.registry import load_module
from keras_snn.experiments.trial import unknown
from keras_snn.extras import require

KNOWN = {"figure": str, "modules": list, "export": bool, "grid": dict}


def read(path):
    """The figure's name, whether to export, and the fields, of a grid's file.

    Raises:
        ValueError: If it is no grid.
        ImportError: If there is nothing to read TOML with, on Python 3.10.
    """
    # In Python since 3.11, and as a package of its own before.
    known = importlib.util.find_spec("tomllib")
    toml = require("tomllib" if known else "tomli", "A grid in a file")
    try:
        found = toml.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} must be a TOML file of a grid. Reading it: {error}"
        ) from error
    for name, value in found.items():
        if name not in KNOWN:
            raise ValueError(unknown(f"A name in {path}", name, KNOWN))
        if not isinstance(value, KNOWN[name]):
            raise ValueError(
                f"`{name}` in {path} must be of type {KNOWN[name].__name__}. "
                f"Received: {name}={value!r}"
            )
    for module in found.get("modules", ()):
        load_module(Path(path).parent / str(module))
    figure = found.get("figure", "accuracy_lines")
    if figure not in figures.FIGURES:
        raise ValueError(unknown("`figure`", figure, figures.FIGURES))
    return figure, found.get("export", False), found.get("grid", {})


def main(arguments=None):
    """Runs the grid of a file, or reports; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        return 0 if "--help" in arguments else 2
    path, *rest = arguments
    if path == "report":
        return page.main(rest)
    try:
        figure, export, fields = read(path)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    run = functools.partial(
        studies.compare, figure=figures.FIGURES[figure], export=export
    )
    name = Path(path).stem
    if "--out" not in rest:
        rest += ["--out", str(recipe.RESULTS / name)]
    return recipe.main(run, __doc__, {"quick": fields}, rest)


if __name__ == "__main__":
    sys.exit(main())
