"""The product with a sparse kernel on tensors, differentiable at will.

The output, summed with any g of its shape, is linear in the nonzeros' values
v, in the input x and in g. Its derivative by g is the product (`forward`), that
by x is `input_gradient`, and that by v is `weight_gradient`: so the gradients
of each are the other two.
"""

import dataclasses
import functools

import numpy as np

from keras_snn import backend
from keras_snn.compute import native
from keras_snn.compute.topology import Topology

SHARED_OUT = 1 << 21  # Multiplications from which on threads are worth it.
USUAL = 128  # Samples of a batch whose size is not known beforehand.


@dataclasses.dataclass(frozen=True)
class Geometry:
    """The sizes of a convolution, channels last; those of a product, all 1.

    Attributes:
        inputs: (height, width, channels) of an input.
        outputs: (height, width, channels) of an output.
        kernel: (height, width) of the kernel.
        strides: (vertical, horizontal).
        padding: (above, left): zeros before an input.
    """

    inputs: tuple
    outputs: tuple
    kernel: tuple = (1, 1)
    strides: tuple = (1, 1)
    padding: tuple = (0, 0)

    def array(self, threads):
        """What the kernels take, an int32 array."""
        return np.array(
            [
                *self.inputs,
                *self.outputs,
                *self.kernel,
                *self.strides,
                *self.padding,
                threads,
            ],
            np.int32,
        )


def product(geometry, values, x, topology):
    """The product of a batch with a sparse kernel.

    Args:
        geometry: A `Geometry`.
        values: Float32 tensor of shape (room,).
        x: Float32 tensor of shape (n, height, width, channels), or of shape
            (n, channels) where images have one pixel.
        topology: A `Topology` of int32 tensors.

    Returns:
        A float32 tensor of as many axes.
    """
    room, images = int(values.shape[0]), x.shape[0]
    pixels = geometry.outputs[0] * geometry.outputs[1]
    known = isinstance(images, int)  # JAX may have a symbol in its place.
    work = room * pixels * (images if known else USUAL)
    threads = native.threads() if work >= SHARED_OUT else 1
    forward, _, _ = _products(geometry, room, threads)
    return forward(values, x, *topology)


@functools.lru_cache(maxsize=1024)
def _products(geometry, room, threads):
    """The product and its two gradients, for tensors and those of topology."""
    numbers = geometry.array(threads)
    kernels = {
        name: native.Kernel(name, threaded=threads > 1)
        for name in (
            "forward",
            "input_gradient",
            "weight_gradient",
            "gradients",
        )
    }

    def of_values_and_x(values, x, *topology):
        t = Topology(*topology)
        return backend.call_kernel(
            kernels["forward"],
            [numbers, t.by_row, t.filters, values, x],
            (None, *geometry.outputs[1 - len(x.shape) :]),
        )

    def of_values_and_g(values, g, *topology):
        t = Topology(*topology)
        return backend.call_kernel(
            kernels["input_gradient"],
            [numbers, t.by_row, t.filters, values, g],
            (None, *geometry.inputs[1 - len(g.shape) :]),
        )

    def of_x_and_g(x, g, *topology):
        t = Topology(*topology)
        return backend.call_kernel(
            kernels["weight_gradient"],
            [numbers, t.by_row, t.filters, x, g],
            (room,),
        )

    def of_g_values_and_x(g, values, x, *topology):
        t = Topology(*topology)
        dx, dw = backend.call_kernel(
            kernels["gradients"],
            [numbers, t.by_row, t.filters, values, x, g],
            [(None, *geometry.inputs[1 - len(x.shape) :]), (room,)],
        )
        return dw, dx

    rest = (None,) * len(Topology._fields)
    both = backend.differentiable(
        of_g_values_and_x,
        (
            lambda ups, g, values, x, *t: (
                forward(ups[0], x, *t) + forward(values, ups[1], *t)
            ),
            lambda ups, g, values, x, *t: weights(ups[1], g, *t),
            lambda ups, g, values, x, *t: inputs(ups[0], g, *t),
            *rest,
        ),
    )
    forward = backend.differentiable(
        of_values_and_x,
        (
            lambda up, values, x, *t: weights(x, up, *t),
            lambda up, values, x, *t: inputs(values, up, *t),
            *rest,
        ),
        both,
    )
    inputs = backend.differentiable(
        of_values_and_g,
        (
            lambda up, values, g, *t: weights(up, g, *t),
            lambda up, values, g, *t: forward(values, up, *t),
            *rest,
        ),
    )
    weights = backend.differentiable(
        of_x_and_g,
        (
            lambda up, x, g, *t: inputs(up, g, *t),
            lambda up, x, g, *t: forward(up, x, *t),
            *rest,
        ),
    )
    return forward, inputs, weights
