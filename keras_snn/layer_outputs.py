"""What layers of a model take and give, on one batch."""

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
    layers = {name: _layer(model, name) for name in names}
    seen = {}
    try:
        for name, layer in layers.items():
            layer.call = _noted(layer.call, seen, name)
        x = keras.tree.map_structure(ops.convert_to_tensor, x)
        model(x, training=training)
    finally:
        for layer in layers.values():
            if "call" in vars(layer):
                del layer.call  # Its class's own is there again.
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


def _noted(call, seen, name):
    def noted(inputs, *args, **kwargs):
        outputs = call(inputs, *args, **kwargs)
        seen[name] = inputs, outputs
        return outputs

    return noted


def _layer(model, name):
    found = [
        layer
        for layer in keras_private.flattened_layers(model)
        if layer.name == name
    ]
    if len(found) != 1:
        raise ValueError(
            "A layer is told by a name of its own. "
            f"Received: {name!r}, the name of {len(found)} layers"
        )
    return found[0]
