"""Arrays made once and kept on disk, under a key of what they are made from."""

import contextlib
import hashlib
import json
import os
import pathlib
import tempfile

import numpy as np


def load_or_make(folder, settings, arrays, make):
    """The array kept for these settings and arrays, or made and kept now.

    A file appears whole or not at all, however the process ends.

    Args:
        folder: Path, made if missing.
        settings: Dict of JSON values: the names of what is made.
        arrays: The arrays it is made from.
        make: Function of no argument that returns the array.

    Returns:
        An array.

    Raises:
        ValueError: If the file that is there is no array.
    """
    folder = pathlib.Path(folder)
    path = folder / f"{_key(settings, arrays)}.npy"
    if path.exists():
        return _load(path)
    array = make()
    folder.mkdir(parents=True, exist_ok=True)
    _save(path, array)
    return array


def _key(settings, arrays):
    """Readable settings, then a digest of them and the arrays' bytes."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    name = f"{settings['corruption']}-{settings['severity']}"
    return f"{name}-{digest.hexdigest()[:32]}"


def _load(path):
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            "A cached file must be a NumPy array, or it was changed since it "
            f"was written. Delete it to make it anew. Received: {path}"
        ) from error


def _save(path, array):
    descriptor, temporary = tempfile.mkstemp(".tmp", path.stem, path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.save(file, array)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
