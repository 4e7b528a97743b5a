"""What XLA is slow at on a CPU is computed otherwise, and comes to the same."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_snn import attacks
from keras_snn import backend

if keras.backend.backend() != "jax":
    pytest.skip("of JAX", allow_module_level=True)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

NHWC = "NHWC", "HWIO", "NHWC"
NCHW = "NCHW", "OIHW", "NCHW"
SMALL = [  # Shapes of image and kernel, strides, padding, layout.
    ((3, 2, 2, 4), (3, 3, 4, 5), (1, 1), "SAME", NHWC),
    ((3, 4, 2, 2), (5, 4, 3, 3), (1, 1), "SAME", NCHW),
    ((3, 1, 2, 4), (3, 5, 4, 5), (2, 1), [(1, 1), (5, 0)], NHWC),
    ((3, 2, 4), (3, 4, 5), (1,), "SAME", ("NWC", "WIO", "NWC")),
]
OTHERS = [  # Shape of the image, of the kernel, and how it is convolved.
    ((3, 3, 3, 4), (3, 3, 4, 4), {}),
    ((3, 2, 2, 4), (3, 3, 2, 4), {"feature_group_count": 2}),
    ((3, 2, 2, 4), (3, 3, 4, 4), {"rhs_dilation": (2, 2)}),
    ((3, 6, 6, 4), (7, 7, 4, 4), {}),
]
POOLINGS = [  # Rows and columns, of the window, of the strides, and padding.
    ((4, 6), (2, 2), (2, 2), "VALID"),
    ((5, 7), (2, 2), (2, 2), "SAME"),
    ((7, 6), (3, 3), (2, 2), "SAME"),
]


def normal(shape, dtype="float32"):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def primitives(function, *args):
    """The names of all that a function computes under JAX, once traced."""
    names, jaxprs = set(), [jax.make_jaxpr(function)(*args).jaxpr]
    for jaxpr in jaxprs:
        for equation in jaxpr.eqns:
            names.add(equation.primitive.name)
            inner = equation.params.get("jaxpr")
            jaxprs += [inner.jaxpr] if inner else []
    return names


def convolved(**options):
    def function(image, kernel):
        options.setdefault("dimension_numbers", NHWC)
        options.setdefault("window_strides", (1, 1))
        options.setdefault("padding", "SAME")
        return lax.conv_general_dilated(image, kernel, **options)

    return function


@pytest.mark.parametrize(("image", "kernel", "strides", "padding", "of"), SMALL)
def test_small_convolutions(image, kernel, strides, padding, of):
    args = normal(image), normal(kernel)
    function = convolved(
        window_strides=strides, padding=padding, dimension_numbers=of
    )
    name = "conv_general_dilated"
    assert name not in primitives(backend.quick(function), *args)

    def loss(*args):
        return jnp.sum(jnp.sin(function(*args)))

    slow = jax.jit(jax.value_and_grad(loss, (0, 1)))
    quick = jax.jit(backend.quick(jax.value_and_grad(loss, (0, 1))))
    for got, expected in zip(
        jax.tree.leaves(quick(*args)), jax.tree.leaves(slow(*args)), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("image", "kernel", "options"), OTHERS)
def test_other_convolutions_are_left_alone(image, kernel, options):
    function = backend.quick(convolved(**options))
    found = primitives(function, normal(image), normal(kernel))
    assert found == {"conv_general_dilated"}


def test_convolutions_in_half_precision_are_left_alone():
    args = normal((3, 2, 2, 4), "float16"), normal((3, 3, 4, 4), "float16")
    found = primitives(backend.quick(convolved()), *args)
    assert found == {"conv_general_dilated"}


@pytest.mark.parametrize(("size", "window", "strides", "padding"), POOLINGS)
def test_gradient_of_max_pooling_with_ties(size, window, strides, padding):
    image = np.maximum(np.round(2 * normal((2, *size, 3))), 0)

    def loss(image):
        pooled = lax.reduce_window(
            image, -np.inf, lax.max, (1, *window, 1), (1, *strides, 1), padding
        )
        return jnp.sum(pooled * jnp.cos(jnp.arange(pooled.shape[2]))[:, None])

    slow, quick = jax.grad(loss), backend.quick(jax.grad(loss))
    assert "select_and_scatter_add" in primitives(slow, image)
    assert "select_and_scatter_add" not in primitives(quick, image)
    np.testing.assert_allclose(
        jax.jit(quick)(image), jax.jit(slow)(image), rtol=1e-6
    )


def test_inside_loops():
    image, kernel = normal((3, 2, 2, 4)), normal((3, 3, 4, 4))

    def function(image, kernel):
        step = convolved()
        return lax.fori_loop(0, 3, lambda _, x: step(x, kernel), image)

    quick = backend.quick(function)
    found = primitives(quick, image, kernel)
    assert "scan" in found and "conv_general_dilated" not in found
    np.testing.assert_allclose(
        jax.jit(quick)(image, kernel), function(image, kernel), rtol=1e-4
    )


def test_eager_code_may_look_at_values():
    assert backend.quick(lambda x: float(x) + 1)(jnp.array(1.0)) == 2


def trained_and_attacked():
    """Weights after a step of training on attacked images, and such images."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(3),
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    robust = attacks.AdversarialModel(model, attacks.PGD(eps=0.1, steps=3))
    robust.compile("sgd", "sparse_categorical_crossentropy")
    x = np.random.default_rng(1).random((8, 6, 6, 1), "float32")
    y = np.arange(8) % 4
    robust.train_on_batch(x, y)
    return [*model.get_weights(), attacks.PGD(steps=3)(robust, x, y)]


def test_adversarial_training_is_the_same(monkeypatch):
    quick = trained_and_attacked()
    monkeypatch.setattr(backend.jax, "quick", lambda function: function)
    monkeypatch.setattr(backend, "quick", lambda function: function)
    for got, expected in zip(quick, trained_and_attacked(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
