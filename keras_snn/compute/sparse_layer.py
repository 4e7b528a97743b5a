"""What layers share that store only the nonzeros of their kernel."""

import math
import warnings

import keras
import numpy as np
from keras import ops

from keras_snn import backend
from keras_snn.arithmetic import masks
from keras_snn.checks import check_integer
from keras_snn.compute import native
from keras_snn.compute.initial_values import NonzeroInitializer
from keras_snn.compute.product import product
from keras_snn.compute.topology import Topology
from keras_snn.compute.topology import check_counts
from keras_snn.compute.topology import positions_of_file
from keras_snn.masking.nonzero_layer import NonzeroLayer

PAYS = 0.7  # From this sparsity on, training is faster than dense on a CPU.


class SparseLayer(NonzeroLayer):
    """A layer with a sparse kernel, of which it stores the nonzeros alone.

    A nonzero takes 4 bytes for its value and 4 for where it is, and 4 more for
    its gradient and for each slot of the optimizer. Code compiled by Numba
    computes it on a CPU, in float32, on `NUMBA_NUM_THREADS` threads. Where that
    cannot run, the layer warns, and computes the same by a dense kernel.

    Subclasses define `kernel_shape_for`, `geometry_for` and `dense_product`.

    Args:
        sparsity: Fraction of zeros in the kernel, in [0, 1).
        activation: As for Keras's layers.
        use_bias: As for Keras's layers.
        kernel_initializer: As for Keras's layers: its variance is that of a
            dense kernel, as when a dense layer is masked.
        bias_initializer: As for Keras's layers.
        kernel_regularizer: As for Keras's layers; a sum over weights, which
            zeros add nothing to, such as L2.
        bias_regularizer: As for Keras's layers.
        seed: Int >= 0; draws where the nonzeros are. Layers of one shape and
            seed begin with the same. (`sparsify` and `to_sparse` put theirs
            where masks are, which are drawn by the layer's place in a model.)
        nonzeros: How many there is room for. Defaults to those of `sparsity`.
    """

    def __init__(
        self,
        sparsity,
        *,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        seed=0,
        nonzeros=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.sparsity = masks.check_sparsity(sparsity)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        check_integer("seed", seed, 0, "which the nonzeros are drawn by")
        self.seed = seed
        self.nonzeros = nonzeros
        # XLA of TensorFlow calls no kernel but its own.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def build(self, input_shape):
        self.kernel_shape = self.kernel_shape_for(input_shape)
        size = math.prod(self.kernel_shape)
        if self.nonzeros is None:
            self.nonzeros = masks.active_count(size, self.sparsity)
        self._check_size(size)
        self.values = self.add_weight(
            name="values",
            shape=(self.nonzeros,),
            initializer=NonzeroInitializer(
                self.kernel_initializer, self.kernel_shape
            ),
            regularizer=self.kernel_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=self.kernel_shape[-1:],
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
            )
        positions = masks.drawn(
            size, min(self.nonzeros, size), masks.generator(self.seed, 0, 0)
        )
        positions.sort()
        drawn = Topology.of_positions(
            positions, self.kernel_shape, self.nonzeros
        )
        self.topology = [
            self.add_weight(
                name=name,
                shape=array.shape,
                dtype="int32",
                initializer="zeros",
                trainable=False,
                autocast=False,
            )
            for name, array in drawn._asdict().items()
        ]
        self._write_topology(drawn)
        # The kernels trust the channels: others would be read out of bounds.
        self.input_spec = keras.layers.InputSpec(
            ndim=self.input_spec and self.input_spec.ndim,
            min_ndim=2,
            axes={-1: self.kernel_shape[-2]},
        )
        self.built = True

    def _check_size(self, size):
        if self.nonzeros < 1:
            raise ValueError(
                "A sparse kernel must keep at least one weight, or the layer's "
                f"output is constant. Received: {self.nonzeros} nonzeros of "
                f"{size}, for the layer {self.name!r}"
            )
        check_counts(self.kernel_shape, self.nonzeros)
        if native.missing() is None and 1 - self.nonzeros / size < PAYS - 0.01:
            warnings.warn(
                f"A sparse layer is faster than a dense one from a sparsity of "
                f"about {PAYS} on. Received: {self.nonzeros} nonzeros of "
                f"{size}, for the layer {self.name!r}",
                stacklevel=2,
            )

    def call(self, inputs):
        topology = Topology(*map(ops.convert_to_tensor, self.topology))
        outputs = self._product(inputs, topology)
        if self.probe is not None:
            outputs = self.probe(inputs, outputs)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)

    def _product(self, inputs, topology):
        values = ops.convert_to_tensor(self.values)
        why = native.missing()
        if why is None:
            why = backend.no_kernels(inputs)
        if why is None and self.compute_dtype == "float64":
            why = "They compute in float32, and the layer in float64."
        if why is not None:
            warnings.warn(
                f"The kernels of sparse layers cannot run, so {self.name!r} is "
                f"as slow as a dense layer. {why}",
                stacklevel=2,
            )
            return self.dense_product(inputs, self._scattered(values, topology))
        outputs = product(
            self.geometry_for(inputs.shape),
            ops.cast(values, "float32"),
            ops.cast(self.as_images(inputs), "float32"),
            topology,
        )
        return ops.cast(self.as_outputs(outputs, inputs), self.compute_dtype)

    def _scattered(self, values, topology):
        """The dense kernel, for where there is no other way."""
        places = ops.arange(self.nonzeros, dtype="int32")
        stored = places < topology.by_row[-1]
        rows = ops.searchsorted(topology.by_row, places, side="right") - 1
        rows = ops.where(stored, rows, ops.zeros_like(rows))
        kernel = ops.scatter(
            ops.stack([rows, topology.filters], axis=-1),
            ops.where(stored, values, ops.zeros_like(values)),
            (math.prod(self.kernel_shape[:-1]), self.kernel_shape[-1]),
        )
        return ops.reshape(kernel, self.kernel_shape)

    def kernel_shape_for(self, input_shape):
        """The shape of the kernel for inputs of this shape, channels last."""
        raise NotImplementedError

    def geometry_for(self, input_shape):
        """The `Geometry` for inputs of this shape."""
        raise NotImplementedError

    def as_images(self, inputs):
        """The inputs, in a shape that `product` takes."""
        return inputs

    def as_outputs(self, outputs, inputs):
        """The outputs of `product`, in their own shape."""
        return outputs

    def positions(self):
        return self._topology_arrays().positions(self.kernel_shape[-1])

    def check_room(self, count):
        if count > self.nonzeros:
            raise ValueError(
                "A sparse layer has room for the nonzeros it was built with, "
                "and not for more: `to_dense` and `to_sparse` make another "
                f"one. Received: {count} nonzeros for {self.name!r}, built "
                f"with {self.nonzeros}"
            )

    def set_nonzeros(self, positions, values):
        """Puts other nonzeros in place of those that there are.

        Args:
            positions: Int array of flat positions in the kernel, in increasing
                order.
            values: Float array of their values.

        Raises:
            ValueError: If there is no room for them.
        """
        positions = np.asarray(positions)
        self.check_room(len(positions))
        self._write_topology(
            Topology.of_positions(positions, self.kernel_shape, self.nonzeros)
        )
        room = np.zeros(self.nonzeros, np.float32)
        room[: len(positions)] = values
        self.values.assign(room)

    def kernel_array(self):
        """The kernel with its zeros, a NumPy array."""
        kernel = np.zeros(self.kernel_shape, np.float32)
        positions = self.positions()
        values = ops.convert_to_numpy(self.values.value)
        kernel.flat[positions] = values[: len(positions)]
        return kernel

    def _topology_arrays(self):
        return Topology(*(ops.convert_to_numpy(w.value) for w in self.topology))

    def _write_topology(self, topology):
        for variable, array in zip(self.topology, topology, strict=True):
            variable.assign(array)

    def save_own_variables(self, store):
        topology = self._topology_arrays()
        store["values"] = ops.convert_to_numpy(self.values.value)
        store["by_row"], store["filters"] = topology.by_row, topology.filters
        if self.bias is not None:
            store["bias"] = ops.convert_to_numpy(self.bias.value)

    def load_own_variables(self, store):
        values = np.asarray(store["values"])
        positions = positions_of_file(
            store["by_row"], store["filters"], self.kernel_shape, self.name
        )
        if values.shape != (self.nonzeros,):
            raise ValueError(
                "A file must have as many nonzeros as the layer has room for. "
                f"Received: values of shape {values.shape} for {self.name!r}, "
                f"with room for {self.nonzeros}"
            )
        self.set_nonzeros(positions, values[: len(positions)])
        if self.bias is not None:
            self.bias.assign(np.asarray(store["bias"]))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "sparsity": self.sparsity,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": serialize(self.kernel_initializer),
            "bias_initializer": serialize(self.bias_initializer),
            "kernel_regularizer": serialize(self.kernel_regularizer),
            "bias_regularizer": serialize(self.bias_regularizer),
            "seed": self.seed,
            "nonzeros": self.nonzeros,
        }
