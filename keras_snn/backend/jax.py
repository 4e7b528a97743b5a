"""Gradients and compilation on JAX."""

import contextlib
import ctypes
import functools
import threading

import jax
import keras
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.experimental import io_callback
from jax.tree_util import Partial
from keras import ops
from keras import tree

from keras_snn.backend.jax_cpu import quick

COMPILES = True
ELSEWHERE = "They run on a CPU, and the tensors are elsewhere."
quickly = contextlib.nullcontext  # See PyTorch, where Keras does more.


def gradient(function, tensors, has_aux=False):
    """Differentiate a scalar function, eagerly or in a compiled step.

    Args:
        function: takes `tensors`, returns a scalar tensor; must alter nothing,
            as inside a `keras.StatelessScope`.
        tensors: float tensors: one, or a list of them.
        has_aux: whether `function` returns a pair, of the scalar and tensors
            that are not differentiated.

    Returns:
        The gradients, structured as `tensors`; zeros where `function` does
        not depend on a tensor. With `has_aux`, a pair of them and the
        tensors beside the scalar.
    """
    tensors = tree.map_structure(ops.convert_to_tensor, tensors)
    return quick(jax.grad(function, has_aux=has_aux))(tensors)


def hessian_vector_product(function, tensors, vectors):
    """Differentiate the gradient of a scalar function along vectors.

    Args:
        function: as for `gradient`, twice differentiable.
        tensors: a list of float tensors.
        vectors: a list of tensors of the same shapes.

    Returns:
        The Hessian times the vectors, a list; zeros where the gradient does
        not depend on a tensor.
    """
    tensors = [ops.convert_to_tensor(t) for t in tensors]
    vectors = [ops.convert_to_tensor(v) for v in vectors]
    return jax.jvp(jax.grad(function), (tensors,), (vectors,))[1]


def jit(function):
    """Compile a function of tensors; variables' values must be arguments."""
    return jax.jit(quick(function))


def held(tensor):
    """Return a tensor as a constant that is read many times."""
    return ops.stop_gradient(tensor)


def call_kernel(kernel, tensors, shape):
    """Run a kernel of the CPU, eagerly or in a compiled step.

    Args:
        kernel: has `handler`, the address of what XLA calls.
        tensors: float32 and int32 tensors.
        shape: that of the result; its first size may be None, that of the
            last tensor. A list, where there are several results.

    Returns:
        A float32 tensor, or a list of them.
    """
    name = f"keras_snn_{kernel.name}_{kernel.threaded:d}"
    _register(name, kernel)
    several = isinstance(shape, list)
    results = [
        jax.ShapeDtypeStruct(
            (tensors[-1].shape[0] if size is None else size, *sizes), "float32"
        )
        for size, *sizes in (shape if several else [shape])
    ]
    results = jax.ffi.ffi_call(name, results)(*tensors)
    return results if several else results[0]


@functools.cache
def _register(name, kernel):
    capsule = jax.ffi.pycapsule(ctypes.c_void_p(kernel.handler))
    jax.ffi.register_ffi_target(name, capsule, platform="cpu", api_version=1)


def differentiable(function, gradients, both=None):
    """Tell the gradient of a function that cannot be looked into.

    Args:
        function: takes tensors, returns one, or a tuple of them.
        gradients: for each argument None, or a function of the gradient by
            the result and all arguments that returns that by this one.
        both: None, or a function, as they are, of the first two gradients,
            quicker where both are asked for.

    Returns:
        The function, with its gradient.
    """

    def separately(*arguments):
        return tuple(None if by is None else by(*arguments) for by in gradients)

    def at_once(*arguments):
        return *both(*arguments), *(None for _ in gradients[2:])

    def forward(*primals):
        tensors = [primal.value for primal in primals]
        asked = [primal.perturbed for primal in primals[:2]]
        # What JAX hands on may be of another time that it traced this, when
        # others were asked for: so no gradient is left out here, but by XLA.
        rule = at_once if both and all(asked) else separately
        return known(*tensors), (Partial(rule), tensors)

    def backward(kept, upstream):
        rule, tensors = kept
        return rule(jax.tree.map(_materialized, upstream), *tensors)

    known = jax.custom_vjp(function)
    known.defvjp(forward, backward, symbolic_zeros=True)
    return known


def _materialized(gradient):
    if isinstance(gradient, SymbolicZero):
        return ops.zeros(gradient.shape, gradient.dtype)
    return gradient


def no_kernels(tensor):
    """Why `call_kernel` cannot take a tensor; None if it can."""
    if not hasattr(jax, "ffi"):
        return "They need JAX 0.5 or newer."
    return None if jax.default_backend() == "cpu" else ELSEWHERE


def device():
    """The name of the device that computes, such as `"cpu"`."""
    return jax.devices()[0].device_kind


def replicas(count):
    """The first devices, as what shares a training.

    Args:
        count: how many devices, at least two.

    Returns:
        An object with two methods that give contexts. In that of `scope()`,
        models are to be made, restored and changed. In that of
        `sharing(layers, batches)`, `fit` is to be given what it gives, and
        trains the model of all those layers as one device does; the batches,
        of a `tf.data.Dataset`, divide over the devices.

    Raises:
        ValueError: if so many devices cannot share a training.
    """
    there = keras.distribution.list_devices()
    if count > len(there):
        raise ValueError(
            "There must be as many devices as are to share a training. "
            f"Received: {count}, of which there are {len(there)}: {there}. "
            "One CPU is made several by the environment variable XLA_FLAGS="
            "--xla_force_host_platform_device_count=<number>"
        )
    return _Replicas(devices=there[:count])


class _Replicas(keras.distribution.DataParallel):
    """Keras's, but that what does not divide is computed on every device."""

    def get_data_layout(self, data_shape):
        layout = super().get_data_layout(data_shape)
        if data_shape[0] % self.device_mesh.devices.size:
            axes = [None] * len(data_shape)
            return keras.distribution.TensorLayout(axes, self.device_mesh)
        return layout

    @contextlib.contextmanager
    def sharing(self, layers, batches):
        with self.scope():
            yield batches  # A step is that of the whole batch, anyway.


def map_batch(function, model, state, data):
    """Apply a function to the data that Keras hands to a `train_step`.

    Args:
        function: takes and returns the data `(x, y[, sample_weight])`; may
            read and assign the variables of `model`.
        model: the model whose step it is.
        state: the values of the model's variables, which Keras on JAX hands
            to the step beside the data.
        data: the data.

    Returns:
        All that `super().train_step` must be given.
    """
    return _with_state(model, state, lambda: function(data))


def assign_after(function, model, result):
    """Run a function that assigns variables, behind a `train_step`.

    Args:
        function: takes nothing; may read and assign the variables of `model`.
        model: the model whose step it was.
        result: what `super().train_step` returned.

    Returns:
        What the `train_step` must return.
    """
    logs, state = result
    state, _ = _with_state(model, state, function)
    return logs, state


def repeat(train_step, count, state, data):
    """Take a `train_step` several times on the same data.

    Args:
        train_step: that of Keras.
        count: how often, at least once.
        state: the values of the model's variables, as for `map_batch`.
        data: the data.

    Returns:
        What the `train_step` must return, after the last.
    """
    logs, _ = jax.eval_shape(train_step, state, data)
    logs = tree.map_structure(lambda log: ops.zeros(log.shape, log.dtype), logs)
    # A loop, since the step would be compiled as often as it stood there.
    return jax.lax.fori_loop(
        0, count, lambda _, result: train_step(result[1], data), (logs, state)
    )


def masked_to_train(variable, value, mask):
    """What a training step computes with in place of a masked weight.

    It is 0 outside the mask, and so is the weight's gradient. A step
    leaves alone what it is handed, so this is a product, kept for the backward
    pass; computed there once more (`jax.checkpoint`), it took more time, and
    no less memory.

    Args:
        variable: The weight, a Keras variable.
        value: Its value, as it is read here and now.
        mask: A bool tensor of its shape.

    Returns:
        A tensor of the weight's shape and dtype.
    """
    return ops.where(mask, value, ops.cast(0, value.dtype))


def holds(optimizer, variables):
    """Whether an optimizer is the backend's own: there is no such."""
    return False


def slots(optimizer, variable):
    """What such an optimizer keeps of a variable: nothing."""
    return []


class GradientTap:
    """Adds up the gradients by a tensor that passes through it.

    Args:
        shape: the tensor's.

    Raises:
        ValueError: in one of several processes.
    """

    def __init__(self, shape):
        if jax.process_count() > 1:
            raise ValueError(
                "The gradient of training comes to one process of several, and "
                "the others would not know where to grow: pass `data` to take "
                f"gradients on. Received: {jax.process_count()} processes"
            )
        self._sum = np.zeros(shape, "float32")
        self._lock = threading.Lock()  # JAX calls back in threads of its own.
        self._tapped = jax.custom_vjp(lambda tensor: tensor)
        self._tapped.defvjp(lambda tensor: (tensor, None), self._backward)
        self.start()

    def start(self, keep=0.0):
        """Keep this share of the sum: of 0, nothing that came is left."""
        jax.effects_barrier()
        self._sum = keep * self._sum if keep else np.zeros_like(self._sum)
        self._came = bool(keep) and self._came

    def __call__(self, tensor):
        """The tensor itself, whose gradient is noted on its way back."""
        return self._tapped(tensor)

    def _backward(self, _, gradient):
        io_callback(self._note, None, gradient)
        return (gradient,)

    def _note(self, gradient):
        with self._lock:
            self._sum = self._sum + np.asarray(gradient, "float32")
            self._came = True

    def read(self):
        """The sum, a NumPy array; None if no gradient came."""
        jax.effects_barrier()
        return self._sum if self._came else None


def _with_state(model, state, function):
    """What a step's state is after `function()`, and what that returned."""
    trainable, non_trainable, *others = state
    variables = model.trainable_variables + model.non_trainable_variables
    mapping = zip(variables, [*trainable, *non_trainable], strict=True)
    with keras.StatelessScope(state_mapping=mapping) as scope:
        result = function()
    values = [scope.get_current_value(v) for v in variables]
    split = len(trainable)
    return (values[:split], values[split:], *others), result
