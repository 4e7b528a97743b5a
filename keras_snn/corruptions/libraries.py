"""The image libraries corruptions stand on, imported where they are used."""

from keras_snn import extras


def require(name):
    """Import a module of the extra `corruptions`.

    Args:
        name: Full name of the module, as `"scipy.sparse"`.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed; says how to install it.
    """
    return extras.require(name, "A corrupted image")
