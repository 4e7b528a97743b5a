"""Reading .npz files that nobody vouches for: plain arrays, no pickles."""

import zipfile

import numpy as np

KEYS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path, keys=KEYS):
    """The arrays of a file.

    Args:
        path: A file that `np.savez` or `np.savez_compressed` wrote.
        keys: Names of the arrays it must hold. Defaults to those of a data
            set: `x_train`, `y_train`, `x_test` and `y_test`.

    Returns:
        A dict of these arrays.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, not an archive of arrays, lacks one
            of them or has Python objects in them, which would have to be
            unpickled.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            missing = [key for key in keys if f"{key}.npy" not in names]
            arrays = {k: _read(archive, k) for k in keys if k not in missing}
    except FileNotFoundError:
        raise
    except Exception as error:  # Damage may raise anything.
        raise ValueError(
            f"{path} must be an undamaged .npz file of plain arrays. Reading "
            f"it: {error}"
        ) from error
    if missing:
        raise ValueError(
            f"{path} must hold the arrays {', '.join(keys)}; it lacks "
            f"{', '.join(missing)}. Received: {', '.join(names)}"
        )
    return arrays


def _read(archive, key):
    with archive.open(f"{key}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # Reading to the end is what checks the CRC.
            raise ValueError(f"{key} is longer than its header says")
    return array
