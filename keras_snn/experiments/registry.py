"""What the rows of the tables share: methods, networks, kinds of hardness."""

import dataclasses
from collections.abc import Mapping


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
