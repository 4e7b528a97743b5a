"""The table of CONTRIBUTING.md is true: imports point up it only."""

import ast
import re
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
PACKAGE = HOME / "keras_snn"

pytestmark = pytest.mark.once


def rows():
    """The rooms of each row of the table, from the top down."""
    text = (HOME / "CONTRIBUTING.md").read_text()
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return [re.findall(r"`(\w+)(?:\.py|/)`", cell) for cell in cells]


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules(tree, path):
    """The names of all modules of this package that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by a relative name"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def imported_rooms(path):
    names = modules(ast.parse(path.read_text()), path)
    parts = [name.split(".") for name in names]
    return {name[1] for name in parts if name[0] == "keras_snn"}


def test_every_room_is_in_the_table_once():
    listed = [room for row in rows() for room in row]
    there = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert sorted(listed) == sorted(there | {"recipes", "tools"})


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE]
    + [p for p in sorted(PACKAGE.glob("*.py")) if p.stem != "__init__"],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_imports_point_up(path):
    floor = {room: n for n, row in enumerate(rows()) for room in row}
    below = {
        room
        for room in imported_rooms(path)
        if floor[room] > floor[room_of(path)]
    }
    assert not below
