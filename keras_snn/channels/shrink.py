"""A smaller model in place of one in which whole channels are masked."""

import warnings

import keras
import numpy as np

from keras_snn.channels.constants import Constants
from keras_snn.channels.graph import ChannelGraph
from keras_snn.channels.kernel import even


def remove_channels(model, masks):
    """Removes every channel that no active weight reads, or that is constant.

    With a channel goes the filter that computes it, its bias and BatchNorm,
    and its share of the kernels that read it, whose biases take up what it has
    been; then those channels that it alone has read, and so on. Outputs stay
    the same in inference, but for rounding. Every layer keeps at least one
    channel.

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
    constants = Constants(graph, masks)
    kept = _kept_channels(graph, constants)
    _tell(constants.held, kept)
    copier = _Copier(graph, constants, kept)
    smaller = copier.model(model)
    copier.fill()
    return smaller


def _kept_channels(graph, constants):
    """By channel, whether an output depends on it: a bool array."""
    connections = [constants.reads(kernel) for kernel in graph.kernels]
    before, read = None, np.ones(len(graph.fixed), bool)
    while not np.array_equal(before, read):
        before, read = read, graph.fixed.copy()
        for kernel, connected in zip(graph.kernels, connections, strict=True):
            used = connected[:, before[kernel.outputs]].any(axis=1)
            read[kernel.inputs[used]] = True
    before = None
    while not np.array_equal(before, read):
        before = read.copy()
        for kernel in graph.kernels:
            if not read[kernel.outputs].any():
                read[kernel.outputs[0]] = True
            kernel.even(read)
        for sets in graph.alike:
            even(sets, read)
    return read


def _tell(held, kept):
    """Warns of constants that stay, though they might as well be biases."""
    counts = {}
    for where, channels in held:
        counts[where] = counts.get(where, 0) + int(kept[channels].sum())
    places = [f"{n} before {where}" for where, n in counts.items() if n]
    if places:
        warnings.warn(
            "Constant channels stay where no bias can replace them, and the "
            "model is larger than its masks suggest. `prune_channels` masks "
            f"what reads them, too. Received: {'; '.join(places)}",
            stacklevel=4,
        )


class _Copier:
    """Copies layers with those channels alone that are `kept`."""

    def __init__(self, graph, constants, kept):
        self.graph = graph
        self.kept = kept
        self.sizes = {
            id(k.weight): (int(kept[k.outputs].sum()), len(k.outputs))
            for k in graph.kernels
        }
        self.biases = {
            id(k.weight): constants.bias(k, kept)[kept[k.outputs]]
            for k in graph.kernels
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
            if not isinstance(layer, keras.Model):
                names = _initializers(layer)
                for part, new in zip(_parts(layer), _parts(copy), strict=True):
                    self._fill(part, new)
                    for name in names:
                        setattr(new, name, getattr(part, name))

    def _fill(self, layer, copy):
        # Where a bias is new, it is the last weight of the copy.
        for weight, new in zip(layer.weights, copy.weights, strict=False):
            new.assign(self._kept(weight, new.shape))
        for weight in layer.weights:
            added = self.biases.get(id(weight), np.zeros(1))
            if added.any():
                bias = np.zeros(copy.bias.shape)
                if layer.bias is not None:
                    bias += copy.bias.numpy()
                # That of GRU has one row for inputs and one for states.
                bias.reshape(-1, len(added))[0] += added
                copy.bias.assign(bias)

    def _copy(self, layer):
        if isinstance(layer, keras.Sequential):
            return self.model(layer, [self._input(layer.inputs[0])])
        if isinstance(layer, keras.Model):
            inputs = keras.tree.map_structure(self._input, layer.input)
            return self.model(layer, inputs)
        return type(layer).from_config(self._config(layer))

    def _config(self, layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Bidirectional):
            for name, inner in (
                ("layer", layer.forward_layer),
                ("backward_layer", layer.backward_layer),
            ):
                config[name]["config"] = self._config(inner)
                config[name].pop(
                    "build_config", None
                )  # That is for all inputs.
            return config
        for weight in layer.weights:
            if id(weight) in self.sizes:
                size = "units" if "units" in config else "filters"
                kept, outputs = self.sizes[id(weight)]
                config[size] = getattr(layer, size) * kept // outputs
                config["use_bias"] |= bool(self.biases[id(weight)].any())
        if id(layer) in self.graph.groups:
            groups = self.kept[self.graph.groups[id(layer)]]
            config["groups"] = int(groups.any(axis=1).sum())
        if isinstance(layer, keras.layers.Reshape):
            config["target_shape"] = *layer.target_shape[:-1], -1
        # What is drawn would be lost, and cost JAX a compilation a shape.
        config.update(dict.fromkeys(_initializers(layer), "zeros"))
        return config

    def _input(self, tensor):
        channels, shape = self.graph.channels(tensor), tensor.shape
        if channels is not None:
            shape = *shape[:-1], int(self.kept[channels].sum())
        return keras.Input(
            batch_shape=shape, dtype=tensor.dtype, name=tensor.name
        )

    def _kept(self, weight, shape):
        """The elements of a weight that are kept, in their new shape."""
        if not shape:
            return weight.numpy()
        stay = self.graph.kept(weight, self.kept)
        # Of each output in turn, since each may read other inputs.
        values = np.moveaxis(weight.numpy(), -1, 0)[np.moveaxis(stay, -1, 0)]
        return np.moveaxis(values.reshape(shape[-1], *shape[:-1]), 0, -1)


def _parts(layer):
    """What has the weights of a layer: itself, or its recurrent cells."""
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer.forward_layer.cell, layer.backward_layer.cell]
    return [getattr(layer, "cell", layer)]


def _initializers(layer):
    layer = getattr(layer, "forward_layer", layer)
    return [name for name in layer.get_config() if name.endswith("initializer")]
