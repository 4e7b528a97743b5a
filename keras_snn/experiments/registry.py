"""What the rows of the tables share: methods, networks, kinds of hardness."""

import dataclasses
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

# What `load_module` imported, for processes that are to import it, too.
LOADED = []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table of this package.

    Attributes:
        fields: Names of the fields of `Trial` that matter to this row, of
            those that rows of its table lay claim to. Of a trial that is of
            another row they are set to their defaults. None: all matter.
        options: What a trial of this row may set beside the fields of
            `Trial`: a dict of name to default, a bool, int, float or str. A
            trial has them as attributes.
    """

    fields: tuple | None = None
    options: Mapping = dataclasses.field(default_factory=dict)


def claimed(table):
    """The fields of `Trial` that matter to some rows of a table alone."""
    return {name for row in table.values() for name in row.fields or ()}


def load_module(name):
    """Imports what registers rows of a user's own.

    Args:
        name: The path of a Python file, or the name of a module.

    Returns:
        The module.
    """
    path = Path(name)
    LOADED.append(str(path.absolute()) if path.suffix == ".py" else str(name))
    if path.suffix != ".py":
        return importlib.import_module(str(name))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
