"""The outputs of a model, and the gradient of a loss with respect to images."""

import weakref

import numpy as np
from keras import ops

from keras_snn import backend
from keras_snn.attacks import losses
from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.masked_layer import MaskedScope

# model -> {what else the code depends on: its compiled gradient}
_compiled = weakref.WeakKeyDictionary()


def variable_values(model):
    """The values of all variables, masks among them, as constants.

    Weights are 0 outside the masks: a pass need not mask them.
    """
    values = {id(v): v.value for v in model.variables}
    for layer in _masking_layers(model):
        layer.apply_masks(values)
    return [backend.held(values[id(v)]) for v in model.variables]


def reseeded_values(model, seed):
    """Those values, with other seeds in what is random in the model."""
    weights = {id(v) for v in model.weights}
    random = np.random.default_rng(seed)
    values = variable_values(model)
    for place, variable in enumerate(model.variables):
        if id(variable) not in weights:
            draws = random.integers(2**31, size=variable.shape)
            values[place] = ops.convert_to_tensor(draws, variable.dtype)
    return values


def scopes(model, state):
    """What gives a scope, for one pass, in which a model has such values.

    Args:
        model: A built Keras model.
        state: What `variable_values` gave, or `reseeded_values`.

    Returns:
        A function of no arguments.
    """
    values = {
        id(variable): value
        for variable, value in zip(model.variables, state, strict=True)
    }
    layers = frozenset(_masking_layers(model))
    return lambda: MaskedScope(values, layers)


def _masking_layers(model):
    """The layers whose masks may be applied beforehand.

    Others keep values outside the masks, which what they add to the loss is of.
    """
    return [each for each in masked_layers(model) if not each.keeps_inactive]


def image_gradient(model, loss, training, scope, images, y):
    """Differentiate each image's loss by the image; alters nothing.

    Args:
        model: A built Keras model.
        loss: What names the loss, from `losses.identify`.
        training: Whether the model runs in training mode.
        scope: Gives a scope for a pass, such as `scopes` returns.
        images: Tensor of images.
        y: Tensor of true classes.

    Returns:
        A tuple of the gradients, a tensor shaped as `images`, the losses, of
        shape (n,), and the model's outputs.
    """
    function = losses.resolve(loss)

    def total_loss(images):
        with scope():
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
        scope = scopes(model, state)
        return image_gradient(model, loss, training, scope, images, y)

    return _compile(model, (loss, training, label_rank), function)


def compiled_outputs(model):
    """Compile the model in inference mode, as a function `(state, images)`.

    Compiled once a model, however its weights and masks change.
    """

    def function(model, state, images):
        with scopes(model, state)():
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
