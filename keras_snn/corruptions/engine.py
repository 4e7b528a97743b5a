"""The image libraries corruptions stand on, imported where they are used."""

import importlib


def require(name, extra="corruptions"):
    """Import a module of an extra.

    Args:
        name: Full name of the module, as `"scipy.sparse"`.
        extra: Name of the extra that installs it.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed, naming the extra to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"Corrupted images need {name}, which is not installed: "
            f'pip install "keras-snn[{extra}]"'
        ) from error
