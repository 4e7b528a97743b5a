"""What Keras leaves to each backend: the only backend switch of the package.

`tensorflow.py`, `jax.py` and `torch.py` are twins: the same functions and
class, with the same meaning.

- `gradient(function, tensors, has_aux)`: the gradient of a scalar function.
- `hessian_vector_product(function, tensors, vectors)`: that of its gradient.
- `jit(function)`: the function, compiled, anew for other shapes.
- `quick(function)`: the function, without what is slow on a CPU: on JAX see
  `jax_cpu.py`, and on PyTorch `torch_quick.py`.
- `quickly()`: a context of the latter, which does nothing elsewhere.
- `COMPILES`: whether `jit` does; that of PyTorch gives the function itself.
- `held(tensor)`: a constant, laid out to be read many times.
- `call_kernel(kernel, tensors, shape)`: run compiled code of the CPU.
- `differentiable(function, gradients)`: tell the gradient of such a function.
- `no_kernels(tensor)`: why that cannot run, where it cannot.
- `map_batch(function, model, *step)`: change the batch of a `train_step`.
- `assign_after(function, model, result)`: assign variables behind one.
- `repeat(train_step, count, *step)`: take it several times on a batch.
- `masked_to_train(variable, value, mask)`: what training computes with.
- `holds(optimizer, variables)`: whether it is one of the backend's own.
- `slots(optimizer, variable)`: what such a one keeps of a variable.
- `device()`: the name of what computes.
- `replicas(count)`: the first devices, as what shares a training.
- `GradientTap(shape)`: notes the gradient by a tensor as training takes it.
"""

import keras

if keras.backend.backend() == "tensorflow":
    from keras_snn.backend.tensorflow import COMPILES
    from keras_snn.backend.tensorflow import GradientTap
    from keras_snn.backend.tensorflow import assign_after
    from keras_snn.backend.tensorflow import call_kernel
    from keras_snn.backend.tensorflow import device
    from keras_snn.backend.tensorflow import differentiable
    from keras_snn.backend.tensorflow import gradient
    from keras_snn.backend.tensorflow import held
    from keras_snn.backend.tensorflow import hessian_vector_product
    from keras_snn.backend.tensorflow import holds
    from keras_snn.backend.tensorflow import jit
    from keras_snn.backend.tensorflow import map_batch
    from keras_snn.backend.tensorflow import masked_to_train
    from keras_snn.backend.tensorflow import no_kernels
    from keras_snn.backend.tensorflow import quick
    from keras_snn.backend.tensorflow import quickly
    from keras_snn.backend.tensorflow import repeat
    from keras_snn.backend.tensorflow import replicas
    from keras_snn.backend.tensorflow import slots
elif keras.backend.backend() == "jax":
    from keras_snn.backend.jax import COMPILES
    from keras_snn.backend.jax import GradientTap
    from keras_snn.backend.jax import assign_after
    from keras_snn.backend.jax import call_kernel
    from keras_snn.backend.jax import device
    from keras_snn.backend.jax import differentiable
    from keras_snn.backend.jax import gradient
    from keras_snn.backend.jax import held
    from keras_snn.backend.jax import hessian_vector_product
    from keras_snn.backend.jax import holds
    from keras_snn.backend.jax import jit
    from keras_snn.backend.jax import map_batch
    from keras_snn.backend.jax import masked_to_train
    from keras_snn.backend.jax import no_kernels
    from keras_snn.backend.jax import quick
    from keras_snn.backend.jax import quickly
    from keras_snn.backend.jax import repeat
    from keras_snn.backend.jax import replicas
    from keras_snn.backend.jax import slots
elif keras.backend.backend() == "torch":
    from keras_snn.backend.torch import COMPILES
    from keras_snn.backend.torch import GradientTap
    from keras_snn.backend.torch import assign_after
    from keras_snn.backend.torch import call_kernel
    from keras_snn.backend.torch import device
    from keras_snn.backend.torch import differentiable
    from keras_snn.backend.torch import gradient
    from keras_snn.backend.torch import held
    from keras_snn.backend.torch import hessian_vector_product
    from keras_snn.backend.torch import holds
    from keras_snn.backend.torch import jit
    from keras_snn.backend.torch import map_batch
    from keras_snn.backend.torch import masked_to_train
    from keras_snn.backend.torch import no_kernels
    from keras_snn.backend.torch import repeat
    from keras_snn.backend.torch import replicas
    from keras_snn.backend.torch import slots
    from keras_snn.backend.torch_quick import quick
    from keras_snn.backend.torch_quick import quickly
else:
    raise ImportError(
        "The Keras backend must be tensorflow, jax or torch, or there are no "
        f"gradients. Received: backend={keras.backend.backend()}"
    )

__all__ = [
    "COMPILES",
    "GradientTap",
    "assign_after",
    "call_kernel",
    "differentiable",
    "device",
    "gradient",
    "held",
    "hessian_vector_product",
    "holds",
    "jit",
    "map_batch",
    "masked_to_train",
    "no_kernels",
    "quick",
    "quickly",
    "repeat",
    "replicas",
    "slots",
]
