"""Arrays made once and kept on disk, under a key of what they are made from."""

import hashlib
import json
import pathlib
import warnings

import numpy as np

from keras_snn.files import written


def load_or_make(folder, settings, arrays, make):
    """The array kept for these settings and arrays, or made and kept now.

    A file appears whole or not at all, however the process ends. What is read
    back is checked: a file that was changed since, down to one bit, or that is
    another's, is named in a warning and made anew.

    Args:
        folder: Path, made if missing.
        settings: Dict of JSON values: the names of what is made.
        arrays: The arrays it is made from; what is made has the shape and
            dtype of the first.
        make: Function of no argument that returns the array.

    Returns:
        An array.
    """
    folder = pathlib.Path(folder)
    key = _key(settings, arrays)
    path = folder / f"{key}.npz"
    if path.exists():
        try:
            return _load(path, key, arrays[0])
        except Exception as error:  # Damage may raise anything.
            warnings.warn(
                "A cached file must be what was written, and is made anew. "
                f"Received: {path}, which fails with {type(error).__name__}: "
                f"{error}",
                stacklevel=3,
            )
    array = make()
    folder.mkdir(parents=True, exist_ok=True)
    with written(path) as temporary, temporary.open("wb") as file:
        np.savez(file, key=np.array(key), array=array)
    return array


def _key(settings, arrays):
    """Readable settings, then a digest of them and the arrays' bytes."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    name = f"{settings['corruption']}-{settings['severity']}"
    return f"{name}-{digest.hexdigest()[:32]}"


def _load(path, key, like):
    # Every member of the archive has a checksum, which is compared on reading.
    with path.open("rb") as opened, np.load(opened) as file:
        found, array = str(file["key"]), file["array"]
    if (found, array.shape, array.dtype) != (key, like.shape, like.dtype):
        raise ValueError(
            f"it holds {found!r}, shape {array.shape}, {array.dtype}"
        )
    return array
