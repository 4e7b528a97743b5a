"""A smaller model in place of one in which whole channels are masked."""

import keras
import numpy as np

from keras_snn.channels.graph import ChannelGraph


def remove_channels(model, masks):
    """Removes every channel that no active weight reads.

    With a channel goes the filter that computes it, its bias and BatchNorm,
    and its share of the kernels that read it; then those channels that it
    alone has read, and so on. Outputs stay the same, but for rounding. Every
    layer keeps at least one channel.

    Args:
        model: A built Functional or Sequential model, its zeros baked in.
        masks: Mapping of the id of a weight to its mask, a bool array;
            weights that it does not name are active.

    Returns:
        A new model. Its layers are new, too, but for those that mix channels
        in a way not known: these, which keep their size, are the same objects.

    Raises:
        ValueError: If the model is of another kind.
    """
    graph = ChannelGraph(model)
    copier = _Copier(graph, _read_channels(graph, masks))
    smaller = copier.model(model)
    copier.fill()
    return smaller


def _read_channels(graph, masks):
    """By channel, whether an output depends on it: a bool array."""
    connections = [
        _connections(k, masks.get(id(k.weight))) for k in graph.kernels
    ]
    before, read = None, np.ones(len(graph.fixed), bool)
    while not np.array_equal(before, read):
        before, read = read, graph.fixed.copy()
        for kernel, connected in zip(graph.kernels, connections, strict=True):
            used = connected[:, before[kernel.outputs]].any(axis=1)
            read[kernel.inputs[used]] = True
    for kernel in graph.kernels:
        if not read[kernel.outputs].any():
            read[kernel.outputs[0]] = True
    return read


def _connections(kernel, mask):
    """Which inputs an active weight connects to which outputs."""
    shape = len(kernel.inputs), len(kernel.outputs)
    if mask is None:
        return np.ones(shape, bool)
    return np.moveaxis(mask, kernel.axes, (-2, -1)).reshape(-1, *shape).any(0)


class _Copier:
    """Copies layers with those channels alone that are `kept`."""

    def __init__(self, graph, kept):
        self.graph = graph
        self.kept = kept
        self.sizes = {
            id(k.weight): int(kept[k.outputs].sum()) for k in graph.kernels
        }
        self.copies = {}

    def model(self, model, inputs=None):
        return keras.models.clone_model(model, inputs, self.layer)

    def layer(self, layer):
        is_layer = isinstance(layer, keras.layers.Layer)
        if not is_layer or id(layer) not in self.graph.known:
            return layer
        if id(layer) not in self.copies:
            self.copies[id(layer)] = layer, self._copy(layer)
        return self.copies[id(layer)][1]

    def fill(self):
        """Gives the copies, built by now, the weights that are kept."""
        for layer, copy in self.copies.values():
            if isinstance(layer, keras.Model):
                continue
            copy.set_weights([self._kept(w) for w in layer.weights])
            for name in _initializers(layer):
                setattr(copy, name, getattr(layer, name))

    def _copy(self, layer):
        if isinstance(layer, keras.Sequential):
            return self.model(layer, [self._input(layer.inputs[0])])
        if isinstance(layer, keras.Model):
            inputs = keras.tree.map_structure(self._input, layer.input)
            return self.model(layer, inputs)
        config = layer.get_config()
        for weight in layer.weights:
            if id(weight) in self.sizes:
                size = "units" if "units" in config else "filters"
                config[size] = self.sizes[id(weight)]
        if isinstance(layer, keras.layers.Reshape):
            config["target_shape"] = *layer.target_shape[:-1], -1
        # What is drawn would be lost, and cost JAX a compilation a shape.
        config.update(dict.fromkeys(_initializers(layer), "zeros"))
        return type(layer).from_config(config)

    def _input(self, tensor):
        channels, shape = self.graph.channels(tensor), tensor.shape
        if channels is not None:
            shape = *shape[:-1], int(self.kept[channels].sum())
        return keras.Input(
            batch_shape=shape, dtype=tensor.dtype, name=tensor.name
        )

    def _kept(self, weight):
        value = weight.numpy()
        for axis, channels in self.graph.axes(weight):
            value = np.compress(self.kept[channels], value, axis)
        return value


def _initializers(layer):
    return [name for name in layer.get_config() if name.endswith("initializer")]
