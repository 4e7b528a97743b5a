"""Files that are whole or not there at all."""

import contextlib
import csv
import json
import os
from pathlib import Path


@contextlib.contextmanager
def written(path):
    """Gives a temporary path to write to, then moves it to `path`.

    On an error, whatever stood at `path` stays as it was.

    Args:
        path: Where the file shall be; its folder must exist.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value):
    """Writes `value` as JSON, whole or not at all."""
    with written(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path):
    """What a JSON file holds."""
    return json.loads(Path(path).read_text())


def write_csv(path, rows):
    """Writes dicts as rows, the union of their keys as columns.

    Args:
        path: Where the file shall be.
        rows: List of dicts; a key that a row lacks is left empty.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with written(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
