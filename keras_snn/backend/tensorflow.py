"""Gradients and compilation on TensorFlow."""

import contextlib
import functools
import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from keras import tree
from keras.src.backend.common.stateless_scope import in_stateless_scope
from tensorflow.python.eager.context import context
from tensorflow.python.eager.execute import execute
from tensorflow.python.eager.record import should_record_backprop

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
    # A variable that is mirrored over devices is no tensor that can be watched.
    tensors = tree.map_structure(_tensor, tensors)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(tensors)
        value = function(tensors)
    value, aux = value if has_aux else (value, None)
    gradients = tape.gradient(
        value, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    gradients = tree.map_structure(tf.convert_to_tensor, gradients)
    return (gradients, aux) if has_aux else gradients


def _tensor(value):
    return tf.identity(ops.convert_to_tensor(value))


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
    # A vector may be one of the tensors: it stays as it is.
    vectors = [tf.stop_gradient(vector) for vector in vectors]

    def slope(tensors):
        gradients = gradient(function, tensors)
        pairs = zip(gradients, vectors, strict=True)
        return tf.add_n([tf.reduce_sum(g * v) for g, v in pairs])

    return gradient(slope, tensors)


def jit(function):
    """Compile a function of tensors; variables' values must be arguments."""
    return tf.function(function, reduce_retracing=True, autograph=False)


def quick(function):
    """Return the function: what is slow on JAX is not so here."""
    return function


def held(tensor):
    """Return a tensor as a constant that is read many times."""
    return ops.stop_gradient(tensor)


def call_kernel(kernel, tensors, shape):
    """Run a kernel of the CPU, eagerly or in a graph that XLA does not see.

    Args:
        kernel: has `op`, the name of the op that it is, whose first inputs are
            the shapes of the results, with -1 for None; and where that is
            None, `run(*arrays)`, for contiguous NumPy arrays, of which it
            fills the last, or the last ones.
        tensors: float32 and int32 tensors.
        shape: that of the result; its first size may be None, that of the
            last tensor. A list, where there are several results.

    Returns:
        A float32 tensor, or a list of them.
    """
    several = isinstance(shape, list)
    shapes = shape if several else [shape]
    if kernel.op is None:
        results = _call_by_numpy(kernel, tensors, shapes)
    else:
        sizes = [[-1 if n is None else n for n in shape] for shape in shapes]
        sizes = [tf.constant(each, tf.int32) for each in sizes]
        results = _call_op(kernel.op, [*sizes, *tensors], len(shapes))
    for result, (first, *others) in zip(results, shapes, strict=True):
        first = tensors[-1].shape[0] if first is None else first
        result.set_shape((first, *others))
    return results if several else results[0]


def _call_op(name, tensors, count):
    """The float32 results of an op that TensorFlow has no function for."""
    tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
    if tf.executing_eagerly():
        return execute(name.encode(), count, tensors, None, context())
    graph = tf.compat.v1.get_default_graph()
    return graph.create_op(name, tensors, [tf.float32] * count).outputs


def _call_by_numpy(kernel, tensors, shapes):
    """The same by way of Python: with copies, and under its lock."""

    def run(*arrays):
        results = [
            _aligned((len(arrays[-1]) if first is None else first, *others))
            for first, *others in shapes
        ]
        kernel.run(*arrays, *results)
        return results

    dtypes = [tf.float32] * len(shapes)
    results = tf.numpy_function(run, tensors, dtypes, stateful=False)
    return tf.nest.flatten(results)  # Eagerly, a single one is in no list.


def _aligned(shape, bytes_=64):
    """An empty array that TensorFlow takes over as it is, without a copy."""
    size = 4 * math.prod(shape)
    memory = np.empty(size + bytes_, np.uint8)
    begin = -memory.ctypes.data % bytes_
    return memory[begin : begin + size].view(np.float32).reshape(shape)


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

    @tf.custom_gradient
    def known(*tensors):
        # What no tape watches may yet be asked for, where this becomes part of
        # a graph: so no gradient is left out here, but by TensorFlow.
        at_once = both and all(should_record_backprop([t]) for t in tensors[:2])

        def backward(*upstream):
            if len(upstream) == 1:
                (upstream,) = upstream
            if at_once:
                return *both(upstream, *tensors), *(None for _ in tensors[2:])
            return tuple(
                None if by is None else by(upstream, *tensors)
                for by in gradients
            )

        return function(*tensors), backward

    return known


def no_kernels(tensor):
    """Why `call_kernel` cannot take a tensor; None if it can."""
    return ELSEWHERE if tf.config.get_visible_devices("GPU") else None


def device():
    """The name of the device that computes, such as `"cpu"`."""
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        return details.get("device_name", gpu.name)
    return "cpu"


@functools.cache
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
    gpus = tf.config.list_logical_devices("GPU")
    there = gpus or tf.config.list_logical_devices("CPU")
    names = [device.name for device in there]
    if count > len(names):
        raise ValueError(
            "There must be as many devices as are to share a training. "
            f"Received: {count}, of which there are {len(names)}: {names}. "
            "One CPU is made several by "
            "tf.config.set_logical_device_configuration, before it computes"
        )
    # Collectives, the default, take all strategies of a process for one.
    reduction = None if gpus else tf.distribute.ReductionToOneDevice()
    return _Replicas(tf.distribute.MirroredStrategy(names[:count], reduction))


class _Replicas:
    def __init__(self, strategy):
        self._strategy = strategy

    def scope(self):
        return self._strategy.scope()

    @contextlib.contextmanager
    def sharing(self, layers, batches):
        drawing = sorted(
            {
                layer.name
                for layer in layers
                for variable in layer.variables
                if variable.name == "seed_generator_state"
            }
        )
        if drawing:
            raise ValueError(
                "A training that devices share on TensorFlow must draw nothing "
                "at random within a step, or each draws the same for its own "
                "part of a batch, and trains another network than one device "
                "does: set KERAS_BACKEND=jax. Received: random draws of "
                f"{drawing}"
            )
        apart = [
            layer
            for layer in layers
            if isinstance(layer, keras.layers.BatchNormalization)
            and not layer.synchronized
        ]
        for layer in apart:
            layer.synchronized = True
        try:
            yield self._strategy.distribute_datasets_from_function(
                lambda _: batches.flat_map(self._split)
            )
        finally:  # Other backends do not load it so.
            for layer in apart:
                layer.synchronized = False

    def _split(self, *batch):
        """A dataset of the parts of a batch, one for each replica."""
        count = self._strategy.num_replicas_in_sync

        def split(part):
            size = tf.shape(part)[0] // count
            return tf.reshape(part, [count, size, *part.shape[1:]])

        return tf.data.Dataset.from_tensor_slices(tuple(map(split, batch)))


def map_batch(function, model, data):
    """Apply a function to the data that Keras hands to a `train_step`.

    Args:
        function: takes and returns the data `(x, y[, sample_weight])`; may
            read and assign the variables of `model`.
        model: the model whose step it is.
        data: all that `train_step` was given.

    Returns:
        All that `super().train_step` must be given.
    """
    return (function(data),)


def assign_after(function, model, result):
    """Run a function that assigns variables, behind a `train_step`.

    Args:
        function: takes nothing; may read and assign the variables of `model`.
        model: the model whose step it was.
        result: what `super().train_step` returned.

    Returns:
        What the `train_step` must return.
    """
    function()
    return result


def repeat(train_step, count, data):
    """Take a `train_step` several times on the same data.

    Args:
        train_step: that of Keras.
        count: how often, at least once.
        data: all that `train_step` was given.

    Returns:
        What the `train_step` must return, after the last.
    """
    for _ in range(count):
        result = train_step(data)
    return result


def masked_to_train(variable, value, mask):
    """What a training step computes with in place of a masked weight.

    It is 0 outside the mask, and so is the weight's gradient. The stored
    weight itself is set to 0 there, so that nothing is kept beside it for the
    backward pass: a product with the mask would be, as large as the weight.

    Args:
        variable: The weight, a Keras variable.
        value: Its value, as it is read here and now.
        mask: A bool tensor of its shape.

    Returns:
        A tensor of the weight's shape and dtype.
    """
    zero = tf.zeros((), value.dtype)
    stored = variable._value
    # That of a scope, or cast; replicas may not write each by itself.
    apart = in_stateless_scope() or value is not stored
    if apart or tf.distribute.has_strategy():
        return tf.where(mask, value, zero)

    @tf.custom_gradient
    def masked_gradient(value):
        return tf.identity(value), lambda g: tf.where(mask, g, zero)

    stored.assign(tf.where(mask, stored, zero))
    return masked_gradient(stored.read_value())


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
    """

    def __init__(self, shape):
        self._sum = _of_all_replicas(tf.zeros(shape))
        self._came = _of_all_replicas(0.0)

    def start(self, keep=0.0):
        """Keep this share of the sum: of 0, nothing that came is left."""
        for variable in (self._sum, self._came):
            value = variable.read_value()
            variable.assign(keep * value if keep else tf.zeros_like(value))

    def __call__(self, tensor):
        """The tensor itself, whose gradient is noted on its way back."""

        @tf.custom_gradient
        def tapped(tensor):
            return tf.identity(tensor), self._backward

        return tapped(tensor)

    def _backward(self, gradient):
        self._sum.assign_add(tf.cast(gradient, "float32"))
        self._came.assign_add(1.0)
        return gradient

    def read(self):
        """The sum, a NumPy array; None if no gradient came."""
        came = self._came.read_value()
        return self._sum.read_value().numpy() if came > 0 else None


def _of_all_replicas(value):
    """A variable that, in the scope of a strategy, is the sum of replicas'."""
    return tf.Variable(
        value,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )
