"""Files that are whole or not there at all."""

import contextlib
import csv
import hashlib
import json
import os
import uuid
from pathlib import Path


@contextlib.contextmanager
def written(path):
    """Gives a temporary path to write to, then moves it to `path`.

    On an error, whatever stood at `path` stays as it was; so it does when the
    power fails, since what is moved is on the disk by then. Every writer has a
    temporary file of its own, in the same folder.

    Args:
        path: Where the file is to be; its folder must exist.
    """
    path = Path(path)
    suffix = "".join(path.suffixes)
    stem = path.name.removesuffix(suffix)
    temporary = path.with_name(f".{stem}-{uuid.uuid4().hex[:12]}{suffix}")
    temporary.open("x").close()
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path):
    """Returns when a file, or a folder's list of files, is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path):
    """Holds a lock that only one holder has, in all processes of the machine.

    It ends with the process, however that ends; the file stays.

    Args:
        path: Of the lock's file; made if missing, and its folder, too.

    Yields:
        Whether the lock is held: False where another has it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        yield _lock(file)


def _lock(file):
    try:
        try:
            import fcntl
        except ModuleNotFoundError:  # On Windows.
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_json(path, value):
    """Writes `value` as JSON, whole or not at all."""
    with written(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path):
    """What a JSON file holds.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no JSON; the file is named.
    """
    try:
        return json.loads(Path(path).read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} must hold JSON. Reading it: {error}"
        ) from error


def digest(content):
    """What tells bytes apart: their SHA-256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def write_csv(path, rows):
    """Writes dicts as rows, the union of their keys as columns.

    Args:
        path: Where the file is to be.
        rows: List of dicts; a key that a row lacks is left empty.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with written(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path):
    """The rows of a CSV file: a list of dicts of column to text."""
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))
