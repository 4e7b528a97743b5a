"""Whether a model has been trained, as far as its weights tell."""

import keras
from keras import ops

from keras_snn.masking import keras_private

# What most layers start from one value, and the initialiser that says so.
STARTS = {
    "bias": (0.0, keras.initializers.Zeros),
    "beta": (0.0, keras.initializers.Zeros),
    "gamma": (1.0, keras.initializers.Ones),
    "moving_mean": (0.0, keras.initializers.Zeros),
    "moving_variance": (1.0, keras.initializers.Ones),
}


def looks_trained(model):
    """Whether an optimizer has moved a model, or weights are not as drawn.

    Looked at are the optimizer's steps, and biases and the weights and moving
    statistics of normalisation, where the layer's initialiser says that all
    of them start from 0, or from 1. A model without any looks new.

    Args:
        model: A built Keras model.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and keras_private.batches_done(optimizer) > 0:
        return True
    return any(
        _has_moved(layer, name)
        for layer in keras_private.flattened_layers(model)
        for name in STARTS
    )


def _has_moved(layer, name):
    start, initializer = STARTS[name]
    weight = getattr(layer, name, None)
    said = getattr(layer, f"{name}_initializer", None)
    if (
        not hasattr(weight, "value")  # Keras 3.6 has no one class of these.
        or not isinstance(said, initializer)
        or hasattr(layer, "recurrent_kernel")  # Some gates start from 1.
    ):
        return False
    return bool((ops.convert_to_numpy(weight.value) != start).any())
