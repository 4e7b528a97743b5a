"""Which weights a layer or model has, whose they are, and the way to each."""

import dataclasses
import math

import keras

from keras_snn.masking import keras_private
from keras_snn.masking import layer_kinds


@dataclasses.dataclass(frozen=True)
class WeightOwner:
    """A weight, the layers that it is in, and the way to it.

    Attributes:
        path: Names from the wrapped model down, such as
            `"block1/conv1/kernel"`.
        weight: The `keras.Variable`.
        layers: The layers around it, from the wrapped one to its owner.
        index: Its place among all weights of the wrapped layer.
    """

    path: str
    weight: keras.Variable
    layers: tuple
    index: int

    @property
    def layer(self):
        """The layer that owns it."""
        return self.layers[-1]

    @property
    def shape(self):
        """The weight's shape."""
        return tuple(self.weight.shape)

    @property
    def size(self):
        """The number of its values, active or not."""
        return math.prod(self.shape)

    @property
    def is_kernel(self):
        """Whether it is of rank 2 or more.

        But no bias, which attention has, and no low-rank adapter.
        """
        bias = getattr(self.layer, "bias", None)
        return (
            len(self.weight.shape) > 1
            and self.weight is not bias
            and not self.is_adapter
        )

    @property
    def is_adapter(self):
        """Whether `enable_lora` of a Keras layer made it."""
        return self.weight.name.startswith("lora_")

    @property
    def is_default(self):
        """Whether it is masked where the user names nothing."""
        if hasattr(self.layer, "recurrent_kernel"):
            attributes = {"kernel", "recurrent_kernel"}
        else:
            attributes = {
                attribute
                for kind, attribute in layer_kinds.DEFAULT_WEIGHTS.items()
                if isinstance(self.layer, kind)
            }
        # By name where LoRA is enabled: `layer.kernel` is then a sum.
        return self.weight.name in attributes or any(
            self.weight is getattr(self.layer, attribute, None)
            for attribute in attributes
        )

    @property
    def input_axes(self):
        """Its axes that run over inputs."""
        return layer_kinds.input_axes(self.layer, self.weight)

    @property
    def plain_shape(self):
        """Its shape, a kernel of EinsumDense as `(in, out)`."""
        return layer_kinds.plain_shape(self.layer, self.weight)

    def is_named(self, name):
        """Whether `name` is its own, or, for a kernel, that of a layer.

        Names may be paths: whole parts of this one.
        """
        path, name = f"/{self.path}/", f"/{name}/"
        return path.endswith(name) or (self.is_kernel and name in path)


def weight_owners(layer):
    """Every weight of `layer`, with its owner and a path unique in `layer`.

    A layer that stores its kernel in another way has a method `owner_of`,
    which says which of its weights stands for the kernel, and which for none.

    Paths follow the tree of layers and not `Variable.path`, which depends on
    where a model was built and may name two weights alike.

    Args:
        layer: A built Keras layer or model.

    Returns:
        A list of `WeightOwner`, in the order of `layer.weights`.
    """
    owners = {}
    prefix = "" if isinstance(layer, keras.Model) else f"{layer.name}/"
    _collect(layer, (), prefix, owners, seen=set())
    taken, ordered = set(), []
    for weight in layer.weights:
        path, layers = owners[id(weight)]
        make = getattr(layers[-1], "owner_of", WeightOwner)
        owner = make(path, weight, layers, len(ordered))
        if owner is None:
            continue
        unique, copies = owner.path, 1
        while unique in taken:
            copies += 1
            unique = f"{owner.path}_{copies}"
        taken.add(unique)
        ordered.append(dataclasses.replace(owner, path=unique))
    return ordered


def check_not_empty(owners):
    """Raises a `ValueError` if a weight that is to be masked has no values."""
    empty = {owner.path: owner.shape for owner in owners if owner.size == 0}
    if empty:
        raise ValueError(
            "A weight that is masked must have values, or no share of them is "
            "zero: leave it out, or give the model inputs that are not empty. "
            f"Received: {empty}"
        )


def _collect(layer, around, prefix, owners, seen):
    seen.add(id(layer))
    layers = (*around, layer)
    for child in keras_private.child_layers(layer):
        if id(child) not in seen:
            _collect(child, layers, f"{prefix}{child.name}/", owners, seen)
    for weight in layer.weights:
        # A deeper layer that has it was there first.
        owners.setdefault(id(weight), (prefix + weight.name, layers))
