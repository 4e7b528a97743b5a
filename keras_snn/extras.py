"""Optional packages: imported where they are used, named if missing."""

import importlib

import keras

# Packages that have another name than the module in them.
_PACKAGES = {
    "PIL": "Pillow",
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
}


def require(name, purpose):
    """Import a module of an optional package.

    Args:
        name: Full name of the module, as `"scipy.sparse"`.
        purpose: What needs it, in the singular: `"A figure"`.

    Returns:
        The module.

    Raises:
        ImportError: If it, or what it imports in turn, is not installed; says
            how to install it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise missing(error.name, purpose) from error


def missing(name, purpose):
    """The error that a module is not found, an `ImportError`.

    It names the package, not an extra of ours, which `pip install` would not
    find: this package is in no index.

    Args:
        name: Full name of the module.
        purpose: What needs it, in the singular: `"A figure"`.
    """
    module = name.partition(".")[0]
    package = _PACKAGES.get(module, module.replace("_", "-"))
    return ImportError(
        f"{purpose} needs {package}, which is not installed: "
        f"pip install {package}"
    )


def keras_cv():
    """The keras_cv module, imported only where it is used.

    It takes `tf.keras` for the Keras to work with, once and for all, and
    tensorflow-model-optimization, imported before it, points that at Keras 2.

    Raises:
        ImportError: If keras-cv or TensorFlow is not installed.
    """
    purpose = "A network or an augmentation of keras-cv, on any backend,"
    tf = require("tensorflow", purpose)
    found = tf.keras
    tf.keras = keras
    try:
        return require("keras_cv", purpose)
    finally:
        tf.keras = found
