"""Optional packages that want care when they are imported."""

import keras


def keras_cv():
    """The keras_cv module, imported only where it is used.

    It takes `tf.keras` for the Keras to work with, once and for all, and
    tensorflow-model-optimization, imported before it, points that at Keras 2.

    Raises:
        ImportError: If keras-cv or TensorFlow is not installed.
    """
    try:
        import tensorflow as tf

        found = tf.keras
        tf.keras = keras
        try:
            import keras_cv
        finally:
            tf.keras = found
    except ImportError as error:
        raise ImportError(
            "Networks and augmentation are built from keras-cv, which needs "
            'TensorFlow, whatever the backend: pip install "keras-snn[vision]"'
        ) from error
    return keras_cv
