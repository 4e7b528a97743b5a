"""The gradient by masked weights, inactive ones included.

A layer with a mask has it from the loss on ones in place of the mask. A layer
that stores only nonzeros has no kernel to differentiate by: its gradient is the
product of its inputs with the gradient by its outputs.
"""

import collections.abc
import contextlib

import numpy as np
from keras import ops

from keras_snn.backend import gradient
from keras_snn.gradients.of_loss import loss_function
from keras_snn.gradients.of_loss import loss_gradients

BLOCK = 1 << 20  # Weights of a layer whose gradient is held at a time.


def dense_gradients(
    model, weights, x, y, loss=None, *, sample_weight=None, training=True
):
    """The gradient by every masked weight, inactive ones included.

    It is of all that training minimises, penalties included. Inactive weights
    are stored as 0, so masks of ones leave the network as it is, and let their
    gradients through.

    Args:
        model: A Keras model with masks.
        weights: Dict of path to `MaskedWeight`, those to differentiate by.
        x: A batch of inputs.
        y: Its targets.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        sample_weight: As for `loss_gradients`.
        training: As for `loss_gradients`.

    Returns:
        A mapping of path to NumPy array of the weight's shape. One of a layer
        that stores only nonzeros is made each time it is asked for.

    Raises:
        ValueError: As `loss_gradients` does.
    """
    stored = {p: m for p, m in weights.items() if m.mask is not None}
    options = {"sample_weight": sample_weight, "training": training}
    options["penalties"] = True
    found = {}
    if stored:
        gradients = loss_gradients(
            model,
            [masked.weight for masked in stored.values()],
            x,
            y,
            loss,
            at=[(m.mask, ops.ones_like(m.mask.value)) for m in stored.values()],
            **options,
        )
        found = dict(zip(stored, gradients, strict=True))
    layers = {
        path: masked.owner.layer
        for path, masked in weights.items()
        if path not in stored
    }
    if not layers:
        return found
    function, _ = loss_function(model, [], x, y, loss, **options)
    return LayerGradients(found, layers, function)


class LayerGradients(collections.abc.Mapping):
    """Gradients by path; those of layers without a mask one at a time.

    Such a layer's gradient is the product of its inputs with the gradient by
    its outputs. Both are found for all layers at once, and multiplied when the
    gradient is asked for: no more than one of them need be held, or a block of
    one.

    Args:
        found: Dict of path to NumPy array: the others.
        layers: Dict of path to `NonzeroLayer`.
        function: The loss, as `loss_function` returns it, of no variable.
    """

    def __init__(self, found, layers, function):
        self._found = found
        self._layers = layers
        self._inputs = {path: [] for path in layers}
        shapes = {path: [] for path in layers}

        def record(path):
            def probe(inputs, outputs):
                self._inputs[path].append(ops.convert_to_numpy(inputs))
                shapes[path].append((outputs.shape, outputs.dtype))
                return outputs

            return probe

        with _probes(layers, record):
            function([])

        def add(zeros):
            def of_path(path):
                calls = iter(zeros[path])
                return lambda inputs, outputs: outputs + next(calls)

            return of_path

        def loss(zeros):
            with _probes(layers, add(zeros)):
                return function([])

        zeros = {
            path: [ops.zeros(shape, dtype) for shape, dtype in calls]
            for path, calls in shapes.items()
        }
        self._upstream = gradient(loss, zeros)

    def __getitem__(self, path):
        if path in self._found:
            return self._found[path]
        return self._of_channels(path, slice(None))

    def blocks(self, path):
        """The gradient of a layer piece by piece.

        Yields:
            Pairs of the flat position at which a piece begins, and the piece,
            an array. In order; a kernel of rank 2 comes by rows, another whole.
        """
        if path in self._found or len(self._layers[path].kernel_shape) != 2:
            yield 0, self[path]
            return
        inputs, outputs = self._layers[path].kernel_shape
        rows = max(BLOCK // outputs, 1)
        for row in range(0, inputs, rows):
            yield row * outputs, self._of_channels(path, slice(row, row + rows))

    def _of_channels(self, path, channels):
        """The gradient by the part of a kernel that reads these channels."""
        layer = self._layers[path]
        *sizes, inputs, outputs = layer.kernel_shape
        shape = (*sizes, len(range(inputs)[channels]), outputs)
        total = np.zeros(shape, "float32")
        for inputs, upstream in zip(
            self._inputs[path], self._upstream[path], strict=True
        ):
            inputs = ops.convert_to_tensor(inputs[..., channels])

            def product(kernel, inputs=inputs, upstream=upstream):
                return ops.sum(layer.dense_product(inputs, kernel) * upstream)

            kernel = ops.zeros(shape, inputs.dtype)
            total += ops.convert_to_numpy(gradient(product, kernel))
        return total

    def __contains__(self, path):  # Without making it.
        return path in self._found or path in self._layers

    def __iter__(self):
        return iter({**self._found, **self._layers})

    def __len__(self):
        return len(self._found) + len(self._layers)


@contextlib.contextmanager
def _probes(layers, probe_of):
    """Lets layers show their calls to `probe_of(path)` for a while."""
    try:
        for path, layer in layers.items():
            layer.probe = probe_of(path)
        yield
    finally:
        for layer in layers.values():
            layer.probe = None
