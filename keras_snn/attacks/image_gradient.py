"""The gradient of a model's loss with respect to images."""

import weakref

import keras
from keras import ops

from keras_snn import backend
from keras_snn.attacks import losses

# model -> {what else the code depends on: its compiled gradient}
_compiled = weakref.WeakKeyDictionary()


def variable_values(model):
    """The values of all variables, masks among them, as constants."""
    return [ops.stop_gradient(v.value) for v in model.variables]


def image_gradient(model, loss, training, state, images, y):
    """Differentiate the sum of the images' losses; alters nothing.

    Args:
        model: a built Keras model.
        loss: what names the loss, from `losses.identify`.
        training: whether the model runs in training mode.
        state: the values of `model.variables`.
        images: tensor of images.
        y: tensor of true classes.

    Returns:
        The gradients, a tensor shaped as `images`.
    """
    function = losses.resolve(loss)
    mapping = list(zip(model.variables, state, strict=True))

    def total_loss(images):
        with keras.StatelessScope(state_mapping=mapping):
            outputs = model(images, training=training)
            # Not the mean, which in half precision can shrink to zero.
            return ops.sum(function(y, outputs))

    return backend.gradient(total_loss, images)


def compiled_image_gradient(model, loss, training, label_rank):
    """Compile `image_gradient` as a function `(state, images, y)`.

    Compiled once a model, however its weights and masks change.
    """
    functions = _compiled.setdefault(model, {})
    # Whether a BatchNorm is frozen is part of the compiled code.
    trainable = tuple(v.trainable for v in model.variables)
    key = (loss, training, label_rank, trainable)
    if key not in functions:
        # Weak, or the cache would keep every model alive.
        reference = weakref.ref(model)

        def function(state, images, y):
            return image_gradient(reference(), loss, training, state, images, y)

        functions[key] = backend.jit(function)
    return functions[key]
