"""The outputs of a model, and the gradient of a loss with respect to images."""

import weakref

import keras
import numpy as np
from keras import ops

from keras_snn import backend
from keras_snn.attacks import losses

# model -> {what else the code depends on: its compiled gradient}
_compiled = weakref.WeakKeyDictionary()


def variable_values(model):
    """The values of all variables, masks among them, as constants."""
    return [backend.held(v.value) for v in model.variables]


def reseeded_values(model, seed):
    """Those values, with other seeds in what is random in the model."""
    weights = {id(v) for v in model.weights}
    random = np.random.default_rng(seed)
    values = []
    for variable in model.variables:
        value = backend.held(variable.value)
        if id(variable) not in weights:
            draws = random.integers(2**31, size=variable.shape)
            value = ops.convert_to_tensor(draws, variable.dtype)
        values.append(value)
    return values


def image_gradient(model, loss, training, state, images, y):
    """Differentiate each image's loss by the image; alters nothing.

    Args:
        model: A built Keras model.
        loss: What names the loss, from `losses.identify`.
        training: Whether the model runs in training mode.
        state: The values of `model.variables`.
        images: Tensor of images.
        y: Tensor of true classes.

    Returns:
        A tuple of the gradients, a tensor shaped as `images`, the losses, of
        shape (n,), and the model's outputs.
    """
    function = losses.resolve(loss)
    mapping = list(zip(model.variables, state, strict=True))

    def total_loss(images):
        with keras.StatelessScope(state_mapping=mapping):
            outputs = model(images, training=training)
            values = function(y, outputs)
            # Not the mean, which in half precision can shrink to zero.
            return ops.sum(values), (values, outputs)

    gradients, aux = backend.gradient(total_loss, images, has_aux=True)
    return gradients, *aux


def compiled_image_gradient(model, loss, training, label_rank):
    """Compile `image_gradient` as a function `(state, images, y)`.

    Compiled once a model, however its weights and masks change.
    """

    def function(model, state, images, y):
        return image_gradient(model, loss, training, state, images, y)

    return _compile(model, (loss, training, label_rank), function)


def compiled_outputs(model):
    """Compile the model in inference mode, as a function `(state, images)`.

    Compiled once a model, however its weights and masks change.
    """

    def function(model, state, images):
        mapping = list(zip(model.variables, state, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return ops.stop_gradient(model(images, training=False))

    return _compile(model, "outputs", function)


def _compile(model, key, function):
    functions = _compiled.setdefault(model, {})
    # Whether a BatchNorm is frozen is part of the compiled code.
    key = (key, tuple(v.trainable for v in model.variables))
    if key not in functions:
        # Weak, or the cache would keep every model alive.
        reference = weakref.ref(model)
        functions[key] = backend.jit(lambda *args: function(reference(), *args))
    return functions[key]
