"""What XLA computes slowly on a CPU, computed otherwise.

XLA convolves an image smaller than its kernel, as those of VGG16's last layers
are, more than ten times slower than it multiplies matrices to the same end (at
512 channels a hundred times), and takes the gradient of max pooling ten times
slower than that of choosing between pixels. Measured with jaxlib 0.10.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jax.extend.core import jaxpr_as_fun

MOST_WEIGHTS = 4  # Of the matrix, in units of the kernel's.
MOST_PIXELS = 9  # Of a pooling window.


def quick(function):
    """Compute both otherwise in a function that JAX traces on a CPU.

    Args:
        function: takes and returns trees of tensors, and does nothing else;
            gradients are taken inside.

    Returns:
        The function, with the same results to float tolerance. Called eagerly,
        or where another device computes, it is the function itself.
    """

    @functools.wraps(function)
    def otherwise(*args):
        leaves = jax.tree.leaves(args)
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        if not traced or jax.default_backend() != "cpu":
            return function(*args)
        jaxpr, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        results = jaxpr_as_fun(_rewritten(jaxpr))(*leaves)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return otherwise


def _rewritten(closed):
    """A closed jaxpr, with other equations in place of the slow ones."""
    equations = [_quick_equation(each) for each in closed.jaxpr.eqns]
    return closed.replace(jaxpr=closed.jaxpr.replace(eqns=equations))


def _quick_equation(equation):
    inner = equation.params.get("jaxpr")
    if isinstance(inner, ClosedJaxpr):
        params = {**equation.params, "jaxpr": _rewritten(inner)}
        return equation.replace(params=params)
    if _is_small_convolution(equation):
        instead = _convolution
    elif _is_gradient_of_max_pooling(equation):
        instead = _gradient_of_max_pooling
    else:
        return equation
    function = jax.jit(functools.partial(instead, **equation.params))
    shapes = [atom.aval for atom in equation.invars]
    (call,) = jax.make_jaxpr(function)(*shapes).eqns
    return call.replace(invars=equation.invars, outvars=equation.outvars)


def _is_small_convolution(equation):
    if equation.primitive.name != "conv_general_dilated":
        return False
    params = equation.params
    arrays = [atom.aval for atom in (*equation.invars, *equation.outvars)]
    image, kernel, results = (
        [array.shape[axis] for axis in spec[2:]]
        for array, spec in zip(arrays, params["dimension_numbers"], strict=True)
    )
    weights = math.prod(image) * math.prod(results)
    return (
        all(array.dtype == "float32" for array in arrays)
        and all(
            size < reach >= max(ends)
            for size, reach, ends in zip(
                image, kernel, params["padding"], strict=True
            )
        )
        and weights <= MOST_WEIGHTS * math.prod(kernel)
        and set(params["lhs_dilation"] + params["rhs_dilation"]) == {1}
        and params["feature_group_count"] == params["batch_group_count"] == 1
    )


def _convolution(
    image,
    kernel,
    *,
    window_strides,
    padding,
    dimension_numbers,
    precision,
    **_,
):
    """One product, by what each pixel of the image weighs in each result."""
    of_image, of_kernel, of_results = dimension_numbers
    axes = range(image.ndim)
    channels_last = [of_image[0], *of_image[2:], of_image[1]]
    image = jnp.moveaxis(image, channels_last, axes)
    channels_last = [*of_kernel[2:], of_kernel[1], of_kernel[0]]
    kernel = jnp.moveaxis(kernel, channels_last, axes)

    pixels = image.shape[1:-1]
    reaches = kernel.shape[:-2]
    kernel = jnp.pad(kernel, [*((p, p) for p in pixels), (0, 0), (0, 0)])
    windows = [  # Of the padded kernel, by axis: what the image has of it.
        [
            slice(p + low - stride * result, p + p + low - stride * result)
            for result in range((low + p + high - reach) // stride + 1)
        ]
        for p, reach, stride, (low, high) in zip(
            pixels, reaches, window_strides, padding, strict=True
        )
    ]
    weights = [kernel[window] for window in itertools.product(*windows)]
    results = jnp.tensordot(
        image, jnp.stack(weights, -2), image.ndim - 1, precision=precision
    )
    results = results.reshape(len(image), *map(len, windows), -1)
    channels_last = [of_results[0], *of_results[2:], of_results[1]]
    return jnp.moveaxis(results, axes, channels_last)


def _is_gradient_of_max_pooling(equation):
    params = equation.params
    return (
        equation.primitive.name == "select_and_scatter_add"
        and params["select_prim"].name == "ge"
        and math.prod(params["window_dimensions"]) <= MOST_PIXELS
    )


def _gradient_of_max_pooling(
    upstream,
    image,
    *,
    window_dimensions,
    window_strides,
    padding,
    **_,
):
    """That of choosing the largest pixel; of equal ones the first, as XLA."""

    def pooled(image):
        lowest = jnp.array(-jnp.inf, image.dtype)
        image = jax.lax.pad(image, lowest, [(*ends, 0) for ends in padding])
        spans = [
            stride * (size - 1) + 1
            for stride, size in zip(window_strides, upstream.shape, strict=True)
        ]
        chosen = None
        for first in itertools.product(*map(range, window_dimensions)):
            last = [f + span for f, span in zip(first, spans, strict=True)]
            other = jax.lax.slice(image, first, last, window_strides)
            chosen = (
                other
                if chosen is None
                else jnp.where(chosen >= other, chosen, other)
            )
        return chosen

    _, pull_back = jax.vjp(pooled, image)
    return pull_back(upstream)[0]
