"""One wrapper that masks any weights of any layer or model.

The forward pass runs with 0 in place of each inactive weight, in a
`keras.StatelessScope`. The gradient of an inactive weight is then exactly
zero, and the mask, a bool weight of the wrapper, travels with the model: it is
saved with it and may change in mid-training without recompilation.

In training, TensorFlow and PyTorch set the stored weight itself to 0 there, and
compute with it: see `masked_to_train` of the backends.
"""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_snn.backend import masked_to_train
from keras_snn.backend import quickly
from keras_snn.masking import keras_private
from keras_snn.masking.in_use import holder_of
from keras_snn.masking.masked_weight import MaskedWeight
from keras_snn.masking.nonzero_layer import check_no_nonzeros
from keras_snn.masking.nonzero_layer import nonzero_weights
from keras_snn.masking.weight_owners import check_not_empty
from keras_snn.masking.weight_owners import weight_owners

STATE_PREFIX = "state_of_method_"


class MethodState:
    """A dict that Keras does not track: it takes plain ones for layers'."""

    def __init__(self):
        self.values = {}


class MaskedScope(keras_private.ScopeOfValues):
    """A scope whose weights are 0 outside the masks of some layers already.

    These layers compute with the weights as they are there, which are
    constants: no gradient by them is masked, nor noted.

    Args:
        values: A dict of tensors by the `id` of their variables, to which each
            of the layers has applied its masks.
        layers: A set of `MaskedLayer`s.
    """

    def __init__(self, values, layers):
        super().__init__(values)
        self.layers = layers


@keras.saving.register_keras_serializable(package="keras_snn")
class MaskedLayer(keras.layers.Wrapper):
    """Runs a layer or a whole model with masks on its weights.

    `keras_snn.sparsify` puts one around a model; by hand it goes around one
    layer, too. All masks are True at first.

    Args:
        layer: A Keras layer or model, of any kind and depth.
        weights: Names of the weights to mask: paths such as
            `"conv1/kernel"`, or whole parts of one such as `"kernel"` or
            `"conv1"`, a layer, whose weights of rank 2 or more are meant, but
            no biases. Or their places among the weights of `layer`, which
            stay where names given by Keras count up. Defaults to the kernels
            of all Dense, EinsumDense, convolution, and recurrent layers.

    Raises:
        ValueError: If the layer has masks, or is in a sparse model. When
            built, if a name matches no weight, or nothing is left to mask.

    Example:

    ```python
    model = keras.Sequential([
        keras.layers.Dense(64, activation="relu"),
        MaskedLayer(keras.layers.Dense(10)),
    ])
    ```
    """

    keeps_inactive = False  # Whether weights outside the masks keep values.
    tap = None  # What active values pass through, where gradients are noted.

    def __init__(self, layer, weights=None, **kwargs):
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                "Argument `layer` must be a Keras layer or model, whose "
                f"weights are masked. Received: {layer=!r}"
            )
        check_unmasked(layer)
        requested_sparsity = kwargs.pop("requested_sparsity", None)
        why_masked = kwargs.pop("why_masked", None)
        kwargs.setdefault("dtype", layer.dtype_policy)
        # Weights are handed on as they are stored: each inner layer casts by
        # its own policy, as it does without the wrapper.
        super().__init__(layer, autocast=False, **kwargs)
        self.weights_to_mask = None if weights is None else list(weights)
        self.requested_sparsity = requested_sparsity
        self._why_masked = tuple((why_masked or {}).items())
        self.supports_masking = True
        signature = keras_private.signature_of(layer)
        keras_private.bind_call(self, signature)
        self._takes_training = "training" in signature.parameters
        self._masked, self._nonzero = [], []
        self._method_state = MethodState()

    def __call__(self, *args, **kwargs):
        if not self.layer.built:
            # Its own call knows which shapes its build takes; run on shapes
            # alone, it computes nothing.
            args_of_build, kwargs_of_build = keras.tree.map_structure(
                _as_symbol, (args, kwargs)
            )
            self.layer(*args_of_build, **kwargs_of_build)
        return super().__call__(*args, **kwargs)

    def build(self, input_shape=None):
        super().build(input_shape)
        owners = weight_owners(self.layer)
        if self.keeps_inactive:
            check_no_nonzeros(self.layer.name, nonzero_weights(owners))
        self._masked = [
            MaskedWeight(
                owner.path,
                owner,
                self._beside(owner, "mask", dtype="bool", initializer="ones"),
                owner.index,
                self._companion(owner),
                self.keeps_inactive,
            )
            for owner in self._chosen(owners)
        ]
        self._nonzero = nonzero_weights(owners)
        self.built = True

    def release(self):
        """Undoes what the wrapper did to weights that `strip` gives back."""

    def _companion(self, owner):
        """The weight that a method wants beside a masked one."""
        return None

    def _beside(self, owner, name, *, trainable=False, **options):
        """A weight of the wrapper, of the shape and layout of a masked one."""
        # A torch module's name may hold no dot.
        prefix = owner.path.replace("/", "_").replace(".", "_")
        beside = self.add_weight(
            name=f"{prefix}_{name}",
            shape=owner.weight.shape,
            trainable=trainable,
            **options,
        )
        keras_private.lay_out_as(beside, owner.weight)
        return beside

    def _chosen(self, owners):
        if self.weights_to_mask is None:
            chosen = {owner.path for owner in owners if owner.is_default}
        else:
            chosen = set()
            for name in self.weights_to_mask:
                exact = {o.path for o in owners if name in (o.path, o.index)}
                named = exact or {o.path for o in owners if o.is_named(name)}
                if not named:
                    raise ValueError(
                        f"Layer {self.layer.name!r} has no weight of that "
                        f"name, so it cannot be masked. Received: {name!r}; "
                        f"its weights are {[o.path for o in owners]}"
                    )
                chosen |= named
        if not chosen and not nonzero_weights(owners):
            raise ValueError(
                f"Layer {self.layer.name!r} has no weight to mask by default; "
                "name one in `weights`. Received: a layer with the weights "
                f"{[o.path for o in owners]}"
            )
        owners = [owner for owner in owners if owner.path in chosen]
        check_not_empty(owners)
        return owners

    @property
    def masked_weights(self):
        """A list of `MaskedWeight`, in the order of the layer's weights."""
        return sorted(self._masked + self._nonzero, key=lambda m: m.index)

    def call(self, inputs, *args, training=None, **kwargs):
        if training is not None and self._takes_training:
            kwargs["training"] = training
        around = keras_private.stateless_scope()
        if isinstance(around, MaskedScope) and self in around.layers:
            return self.layer(inputs, *args, **kwargs)
        # Where all is dense, it rounds as without the wrapper.
        context = quickly() if self._nonzero else contextlib.nullcontext()
        if not self._masked:
            with context:
                return self.layer(inputs, *args, **kwargs)
        values = {id(v): v.value for v in self._state()}
        for masked in self._masked:
            value = values[id(masked.weight)]
            if training and not self.keeps_inactive:
                active = masked_to_train(
                    masked.weight, value, masked.mask.value
                )
            else:
                active = self.active_value(masked, value)
            if self.tap is not None:
                active = self.tap(masked, active)
            values[id(masked.weight)] = active
        state = [(v, values[id(v)]) for v in self._state()]
        scope = keras.StatelessScope(state, collect_losses=True)
        with scope, context:
            outputs = self.layer(inputs, *args, **kwargs)
        for variable, before in state:
            after = scope.get_current_value(variable)
            if after is not before:  # BatchNorm statistics, random seeds.
                variable.assign(after)
        # Copies, since a loss is known by its identity, and the inner layers
        # that made these would claim them once more.
        for loss in scope.losses:
            self.add_loss(ops.copy(loss))
        return outputs

    @property
    def metrics(self):
        # A model compiled before it was wrapped keeps its loss tracker, which
        # would stand in for that of the model around the wrapper.
        return [] if isinstance(self.layer, keras.Model) else super().metrics

    def active_value(self, masked, value):
        """What the forward pass has in place of a masked weight's value."""
        return ops.where(masked.mask.value, value, ops.cast(0, value.dtype))

    def apply_masks(self, values):
        """Puts weights to what the forward pass has in their place.

        Args:
            values: A dict of tensors by the `id` of their variables.
        """
        for masked in self._masked:
            key = id(masked.weight)
            values[key] = self.active_value(masked, values[key])

    def _state(self):
        return (
            self.layer.trainable_variables + self.layer.non_trainable_variables
        )

    def compute_output_spec(self, inputs, *args, training=None, **kwargs):
        return self.layer.compute_output_spec(inputs, *args, **kwargs)

    def compute_mask(self, inputs, previous_mask):
        if self.layer.supports_masking:
            return self.layer.compute_mask(inputs, previous_mask)
        return None

    def get_config(self):
        weights = self.weights_to_mask
        if weights and all(isinstance(each, int) for each in weights):
            weights = self._places() or weights
        config = super().get_config()
        # An inner model's optimizer and loss: the model around it trains.
        config["layer"].pop("compile_config", None)
        if self.why_masked:
            config["why_masked"] = self.why_masked
        return {
            **config,
            "weights": weights,
            "requested_sparsity": self.requested_sparsity,
        }

    @property
    def why_masked(self):
        """Why weights stay masked where others compute sparse: text by path."""
        return dict(self._why_masked)

    @property
    def method_state(self):
        """What a method keeps here; see `mask_state.method_state`."""
        return self._method_state.values

    def save_own_variables(self, store):
        self.check_savable()
        super().save_own_variables(store)
        for name, value in self.method_state.items():
            store[STATE_PREFIX + name] = np.asarray(value)

    def load_own_variables(self, store):
        of_state = [n for n in store.keys() if n.startswith(STATE_PREFIX)]
        others = {n: store[n] for n in store.keys() if n not in of_state}
        super().load_own_variables(others)
        self.method_state.clear()
        for name in of_state:
            self.method_state[name[len(STATE_PREFIX) :]] = np.asarray(
                store[name]
            )

    def check_savable(self):
        """Raises a `ValueError` if Keras would save other weights."""
        masked = {id(each.weight) for each in self._masked}
        for owner in weight_owners(self.layer):
            adapted = getattr(owner.layer, "lora_enabled", False)
            if adapted and id(owner.weight) in masked:
                raise ValueError(
                    "Keras adds low-rank adapters to a kernel when it saves "
                    "it, which fills in what the mask leaves out: `strip` the "
                    "model and save that, or keep `model.get_weights()`. "
                    f"Received: {owner.path!r}, of a layer with LoRA enabled"
                )

    def _places(self):
        """Where the masked weights are by now: LoRA adds to a built layer."""
        places = {id(o.weight): o.index for o in weight_owners(self.layer)}
        return [places[id(masked.weight)] for masked in self._masked]


def check_unmasked(layer):
    """Raises a `ValueError` if a layer or model has masks already."""
    if any(
        isinstance(each, MaskedLayer)
        for each in keras_private.flattened_layers(layer)
    ):
        raise ValueError(
            "What has masks cannot be wrapped once more; change them with "
            "`set_masks`, or take them off with `strip`. "
            f"Received: {layer.name!r}, which has masks"
        )
    holder = holder_of(layer)
    if holder is not None:
        raise ValueError(
            "Weights have one mask, or two sparse models would undo each "
            "other's: `strip` the one before, or make a copy with "
            "`keras.models.clone_model`. Received: "
            f"{layer.name!r}, whose weights {holder.name!r} masks"
        )


def _as_symbol(value):
    """A tensor's shape and dtype alone; anything else as it is."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        dtype = keras.backend.standardize_dtype(value.dtype)
        return keras.KerasTensor(value.shape, dtype)
    return value
