"""What layers of a model take and give, on one batch."""

import contextlib

import keras
from keras import ops

from keras_snn.masking import keras_private


def activations(model, names, x, *, training=False):
    """The inputs and outputs of layers of a model, on a batch.

    For methods that grow or prune by what units do: where the variance is
    largest, say. Nothing of the model changes but, with `training`, what a
    call of it changes.

    Args:
        model: A built Keras model; layers inside masks are reached, too.
        names: The names of the layers, a list.
        x: A batch of inputs.
        training: Whether the model runs in training mode. Defaults to False.

    Returns:
        A dict of name to a pair, the layer's inputs and outputs: NumPy
        arrays, or structures of them, in the order in which layers ran. Of a
        layer that runs several times, the last.

    Raises:
        ValueError: If there is no such layer, or several, or it did not run.

    Example:

    ```python
    inputs, outputs = keras_snn.activations(model, ["conv1"], x)["conv1"]
    variance = outputs.var(axis=(0, 1, 2))  # Of each filter.
    ```
    """
    names_of = {_layer(model, name): name for name in names}
    seen = {}

    def note(layer, inputs, outputs):
        seen[names_of[layer]] = inputs, outputs

    with calls_shown(names_of, note):
        x = keras.tree.map_structure(ops.convert_to_tensor, x)
        model(x, training=training)
    for name in names:
        if name not in seen:
            raise ValueError(
                "A layer must run when the model does, or it has no "
                f"activations. Received: {name!r}, which did not"
            )
    return {
        name: keras.tree.map_structure(ops.convert_to_numpy, each)
        for name, each in seen.items()
    }


@contextlib.contextmanager
def calls_shown(layers, show):
    """A context in which each call of some layers is shown to a function.

    Args:
        layers: Keras layers, an iterable that can be begun anew.
        show: Called as `show(layer, inputs, outputs)` after each call.
    """

    def shown(layer, call):
        def call_and_show(inputs, *args, **kwargs):
            outputs = call(inputs, *args, **kwargs)
            show(layer, inputs, outputs)
            return outputs

        return call_and_show

    try:
        for layer in layers:
            layer.call = shown(layer, layer.call)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)  # Its class's own is there again.


def _layer(model, name):
    found = [
        layer
        for layer in keras_private.flattened_layers(model)
        if layer.name == name
    ]
    if len(found) != 1:
        raise ValueError(
            "Each name must be that of one layer, or it is not known which. "
            f"Received: {name!r}, the name of {len(found)} layers"
        )
    return found[0]
