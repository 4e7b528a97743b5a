"""What `sparsify` returns: masks around a model, of that model's own class.

`fit` calls `train_step`, a user calls `generate` or `get_layer`: all that a
model's class defines must go on working, and must see the masks. So the sparse
model is an instance of that class, too, made without its `__init__`: methods
run with the sparse model as `self`, and what they set up once, layers and
trackers, they find in the model inside.
"""

import functools

import keras

from keras_snn import backend
from keras_snn.masking import in_use
from keras_snn.masking import keras_private
from keras_snn.masking.keras_private import functional_class
from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.mask_state import masked_weights

# What holds the structure of a model together is that of Keras, whatever the
# user's class makes of it: the user's own is inside the masks.
_STRUCTURE = (
    "build",
    "build_from_config",
    "compute_output_shape",
    "compute_output_spec",
    "get_build_config",
    "layers",
    "load_own_variables",
    "save_own_variables",
)


@keras.saving.register_keras_serializable(package="keras_snn")
class SparseModel:
    """A model around a `MaskedLayer`; `sparsify` returns a subclass.

    Args:
        masked: A `MaskedLayer` around a built model.
        inputs: The symbolic inputs of that model, where it is a graph.
    """

    def __init__(self, masked, inputs=None, **kwargs):
        if inputs is None:
            keras.Model.__init__(self, dtype=masked.dtype_policy, **kwargs)
            self._masked_layer = masked
            signature = keras_private.call_signature(masked)
            keras_private.bind_call(self, signature)
            self.built = True
        else:
            functional_class().__init__(self, inputs, masked(inputs), **kwargs)
            # All outputs come from the one wrapper: losses and metrics are
            # known by the names that they had.
            names = getattr(masked.layer, "output_names", None)
            if names is not None:
                self.output_names = list(names)
        # No child of this model, so not tracked; and last, since until then
        # Keras finds its own attributes missing, and makes them.
        vars(self)["_wrapped_model"] = masked.layer
        in_use.take(self)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)  # A torch module's children.
        except AttributeError:
            if name.startswith("__") or "_wrapped_model" not in vars(self):
                raise
        return getattr(self._wrapped_model, name)

    def train_step(self, *step):
        """The step of the user's class; inactive weights stay exactly 0.

        A step that calls the model gives them no gradient. One that calls its
        layers may: what they moved goes back to 0.
        """
        result = super().train_step(*step)
        if type(self._wrapped_model).train_step is keras.Model.train_step:
            return result
        return backend.assign_after(self._prune, self, result)

    def _prune(self):
        for masked in masked_weights(self).values():
            if not masked.keeps_inactive:
                masked.prune()

    @property
    def metrics(self):
        """Those of Keras, and those that the user's class keeps."""
        metrics = super().metrics
        known = {id(metric) for metric in metrics}
        kept = keras_private.own_metrics(self._wrapped_model)
        return metrics + [each for each in kept if id(each) not in known]

    def save(self, *args, **kwargs):
        """As Keras's; what cannot be saved is refused before a file opens."""
        self._check_savable()
        return super().save(*args, **kwargs)

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """As Keras's; what cannot be saved is refused before a file opens.

        The user's own model loads the file, too: a `.weights.h5` has its
        weights under the names that it looks for, as well.
        """
        self._check_savable()
        super().save_weights(filepath, overwrite, **kwargs)
        if str(filepath).endswith(".weights.h5"):
            keras_private.link_weights_of_inner(filepath)

    def quantize(self, *args, **kwargs):
        """Refused: Keras would replace the kernels under their masks.

        Raises:
            ValueError: Always. Nothing has changed then.
        """
        raise ValueError(
            "Keras quantizes the kernels of plain layers, and masks would lose "
            "theirs: `strip` the model first, and quantize that. "
            f"Received: {self.name!r}, which has masks"
        )

    def __reduce__(self):
        _, saved = super().__reduce__()
        return _unpickled, saved  # The class is made by `around`, not found.

    def _check_savable(self):
        for masked in masked_layers(self):
            masked.check_savable()

    def get_layer(self, name=None, index=None):
        """A layer of the user's model, by name or index."""
        return self._wrapped_model.get_layer(name, index)

    def summary(self, *args, print_fn=None, **kwargs):
        """Keras's table of the user's model, and how much of it is masked.

        `keras_snn.summary` shows each mask.
        """
        self._wrapped_model.summary(*args, print_fn=print_fn, **kwargs)
        weights = masked_weights(self).values()
        size = sum(masked.size for masked in weights)
        active = sum(masked.active_count() for masked in weights)
        line = f" Masked params: {size:,}, of which {active:,} are active\n"
        (print_fn or print)(line)

    def get_config(self):
        masked, *_ = masked_layers(self)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "masked": keras.saving.serialize_keras_object(masked),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        masked = keras.saving.deserialize_keras_object(
            config.pop("masked"), custom_objects=custom_objects
        )
        return around(masked, **config)


def _unpickled(saved):
    return keras.Model._unpickle_model(saved)


def around(masked, **kwargs):
    """A sparse model around a `MaskedLayer`, of the class of the one inside.

    Args:
        masked: A `MaskedLayer` around a built model.
        **kwargs: Such as `name`, for the model.
    """
    model = masked.layer
    kind, functional = type(model), functional_class()
    inputs = _symbolic_inputs(model)
    if kind in (keras.Model, keras.Sequential):
        kind = keras.Model if inputs is None else functional
    if not issubclass(kind, functional):
        inputs = None
        if not masked.built:
            masked.build()
    return _sparse_class(kind)(masked, inputs, **kwargs)


@functools.cache
def _sparse_class(kind):
    functional = functional_class()
    is_graph = issubclass(kind, functional)
    base = functional if is_graph else keras.Model
    members = {name: getattr(base, name) for name in _STRUCTURE}
    if is_graph:
        members["call"] = functional.call
    else:
        members |= {"call": _call, "build": _build}
    made = type(f"Sparse{kind.__name__}", (SparseModel, kind), members)
    # Saved by the name of SparseModel, whose `from_config` makes the class.
    register = keras.saving.register_keras_serializable
    return register("keras_snn", "SparseModel")(made)


def _call(self, *args, training=None, **kwargs):
    return self._masked_layer(*args, training=training, **kwargs)


def _build(self, *args, **kwargs):
    self.built = True


def _symbolic_inputs(model):
    """The model's inputs in their structure; None for a subclassed model."""
    try:
        if isinstance(model, keras.Sequential):
            return model.inputs[0]
        return model.input
    except (AttributeError, ValueError):
        return None
