"""Gradients on PyTorch, which runs eagerly."""

import torch
from keras import ops
from keras import tree
from keras.src.backend.common.stateless_scope import in_stateless_scope

from keras_snn.backend.torch_quick import quickly

COMPILES = False
ELSEWHERE = "They run on a CPU, and the tensors are elsewhere."


def gradient(function, tensors, has_aux=False):
    """Differentiate a scalar function, whatever the gradient mode around it.

    Args:
        function: takes `tensors`, returns a scalar tensor; must alter nothing,
            as inside a `keras.StatelessScope`.
        tensors: float tensors: one, or a list of them.
        has_aux: whether `function` returns a pair, of the scalar and tensors
            that are not differentiated.

    Returns:
        The gradients, structured as `tensors`; zeros where `function` does
        not depend on a tensor. With `has_aux`, a pair of them and the
        tensors beside the scalar. No tensor's `grad` is touched.
    """
    tensors = tree.map_structure(_leaf, tensors)
    with torch.enable_grad(), quickly():
        value = function(tensors)
    value, aux = value if has_aux else (value, None)
    gradients = _gradients(value, tree.flatten(tensors))
    gradients = tree.pack_sequence_as(tensors, gradients)
    if not has_aux:
        return gradients
    return gradients, tree.map_structure(torch.detach, aux)


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
    tensors = [_leaf(tensor) for tensor in tensors]
    with torch.enable_grad():
        gradients = _gradients(function(tensors), tensors, create_graph=True)
        pairs = zip(gradients, vectors, strict=True)
        slope = sum((g * ops.convert_to_tensor(v)).sum() for g, v in pairs)
    return _gradients(slope, tensors)


def jit(function):
    """Return the function: PyTorch code is not compiled."""
    return function


def held(tensor):
    """Return a tensor as a constant that is read many times.

    Kernels of images are laid out here as Keras else copies them each time.
    """
    tensor = tensor.detach()
    if tensor.ndim != 4:
        return tensor
    laid_out = tensor.permute(3, 2, 0, 1).contiguous(
        memory_format=torch.channels_last
    )
    return laid_out.permute(2, 3, 1, 0)


def call_kernel(kernel, tensors, shape):
    """Run a kernel of the CPU.

    Args:
        kernel: has `run(*arrays)`, for contiguous NumPy arrays, of which it
            fills the last, or the last ones.
        tensors: float32 and int32 tensors, and the first a NumPy array.
        shape: that of the result; its first size may be None, that of the
            last tensor. A list, where there are several results.

    Returns:
        A float32 tensor, or a list of them.
    """
    several = isinstance(shape, list)
    last = tensors[-1]
    results = [
        torch.empty(
            (last.shape[0] if size is None else size, *sizes),
            dtype=torch.float32,
            # Where it is "meta", Keras asks for the shape alone.
            device="meta" if last.is_meta else "cpu",
        )
        for size, *sizes in (shape if several else [shape])
    ]
    if not last.is_meta:
        # The arrays share the memory of the tensors.
        numbers, *tensors = tensors
        arrays = [t.detach().contiguous().numpy() for t in tensors]
        kernel.run(numbers, *arrays, *(result.numpy() for result in results))
    return results if several else results[0]


def differentiable(function, gradients, both=None):
    """Tell the gradient of a function that cannot be looked into.

    Args:
        function: takes tensors, returns one.
        gradients: for each argument None, or a function of the gradient by
            the result and all arguments that returns that by this one. It
            runs only where that gradient is asked for.
        both: None, or a function, as they are, of the first two gradients,
            quicker where both are asked for. It need not be differentiable.

    Returns:
        The function, with its gradient.
    """

    class Known(torch.autograd.Function):
        @staticmethod
        def forward(context, *tensors):
            context.save_for_backward(*tensors)
            return function(*tensors)

        @staticmethod
        def backward(context, upstream):
            tensors = context.saved_tensors
            asked = context.needs_input_grad
            if both and all(asked[:2]) and not torch.is_grad_enabled():
                return *both(upstream, *tensors), *(None for _ in asked[2:])
            return tuple(
                by(upstream, *tensors) if by is not None and wanted else None
                for by, wanted in zip(gradients, asked, strict=True)
            )

    return Known.apply


def no_kernels(tensor):
    """Why `call_kernel` cannot take a tensor; None if it can."""
    return None if tensor.device.type in ("cpu", "meta") else ELSEWHERE


def device():
    """The name of the device that computes, such as `"cpu"`."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "mps" if torch.backends.mps.is_available() else "cpu"


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
    raise ValueError(
        "Keras shares a training between devices on JAX and TensorFlow alone, "
        "and distributes nothing on PyTorch: set KERAS_BACKEND=jax, or run "
        f"trials beside each other. Received: {count} devices"
    )


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
    zero = value.new_zeros(())
    # That of a scope, or cast.
    if in_stateless_scope() or value is not variable._value:
        return torch.where(mask, value, zero)
    stored = value.data
    torch.where(mask, stored, zero, out=stored)
    return _MaskedGradient.apply(value, mask)


class _MaskedGradient(torch.autograd.Function):
    """A weight as it is, with a gradient of 0 outside a mask."""

    @staticmethod
    def forward(ctx, value, mask):
        ctx.save_for_backward(mask)
        return value.view_as(value)

    @staticmethod
    def backward(ctx, gradient):
        (mask,) = ctx.saved_tensors
        return torch.where(mask, gradient, 0.0), None


def holds(optimizer, variables):
    """Whether an optimizer is one of PyTorch's, with variables in it.

    Raises:
        ValueError: If it is one of PyTorch's, and holds none of them, or
            keeps what it knows of all of them in one vector.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        return False
    held = {
        id(each) for group in optimizer.param_groups for each in group["params"]
    }
    flat = isinstance(optimizer, torch.optim.LBFGS)
    if flat or held.isdisjoint(id(v.value) for v in variables):
        raise ValueError(
            "Argument `optimizer` must hold the model's parameters, each with "
            "a state of its own, which is zeroed where weights are dropped or "
            "grown: make it of `model.parameters()`, behind `sparsify`. "
            f"Received: a {type(optimizer).__name__}"
            + (", which keeps one vector" if flat else " of others")
        )
    return True


def slots(optimizer, variable):
    """What an optimizer of PyTorch keeps of a variable, element by element.

    Yields:
        Pairs of a `Slot` and the value that it starts from: 0, but for the
        sums of Adagrad and the steps of Rprop.
    """
    parameter = variable.value
    for group in optimizer.param_groups:
        if not any(each is parameter for each in group["params"]):
            continue
        starts = {
            "sum": group.get("initial_accumulator_value", 0.0),
            "step_size": group["lr"],
        }
        for name, value in optimizer.state.get(parameter, {}).items():
            if torch.is_tensor(value) and value.shape == parameter.shape:
                yield Slot(value), float(starts.get(name, 0.0))


class Slot:
    """A tensor of an optimizer's state, used as a variable.

    Args:
        value: the tensor.
    """

    def __init__(self, value):
        self.value = value
        self.shape = value.shape
        self.dtype = str(value.dtype).removeprefix("torch.")

    def assign(self, value):
        """Puts another value in its place."""
        with torch.no_grad():
            self.value.copy_(ops.convert_to_tensor(value, self.dtype))


class GradientTap:
    """Adds up the gradients by a tensor that passes through it.

    Args:
        shape: the tensor's.
    """

    def __init__(self, shape):
        self.start()

    def start(self, keep=0.0):
        """Keep this share of the sum: of 0, nothing that came is left."""
        self._sum = keep * self._sum if keep else 0.0
        self._came = bool(keep) and self._came

    def __call__(self, tensor):
        """The tensor itself, whose gradient is noted on its way back."""
        if tensor.requires_grad:
            tensor.register_hook(self._note)
        return tensor

    def _note(self, gradient):
        self._sum = self._sum + gradient.detach().float()
        self._came = True

    def read(self):
        """The sum, a NumPy array; None if no gradient came."""
        return ops.convert_to_numpy(self._sum) if self._came else None


def _leaf(tensor):
    return ops.convert_to_tensor(tensor).detach().requires_grad_()


def _gradients(value, tensors, **options):
    if not value.requires_grad:
        return [torch.zeros_like(tensor) for tensor in tensors]
    return list(
        torch.autograd.grad(value, tensors, materialize_grads=True, **options)
    )
