"""Training steps, losses and metrics of a user's own class."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn

BACKEND = keras.backend.backend()
JIT = BACKEND == "jax"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 6)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")
REGISTER = keras.saving.register_keras_serializable(package="custom_steps")


class OwnStep(keras.Model):
    """The step that each backend's guide on keras.io has, for any loss.

    `self.loss_of(x, y)` may call the model, or its layers.
    """

    def own_step_jax(self, state, data):
        import jax

        trainable, fixed, optimizer, metrics = state

        def loss_of(trainable, fixed):
            variables = self.trainable_variables + self.non_trainable_variables
            mapping = zip(variables, [*trainable, *fixed], strict=True)
            with keras.StatelessScope(mapping) as scope:
                loss = self.loss_of(*data)
            return loss, [
                scope.get_current_value(v) for v in self.non_trainable_variables
            ]

        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, fixed), gradients = gradient(trainable, fixed)
        trainable, optimizer = self.optimizer.stateless_apply(
            optimizer, gradients, trainable
        )
        mapping = zip(self.metrics_variables, metrics, strict=True)
        with keras.StatelessScope(mapping) as scope:
            self.tracker.update_state(loss)
            logs = {"own": self.tracker.result()}
        metrics = [scope.get_current_value(v) for v in self.metrics_variables]
        return logs, (trainable, fixed, optimizer, metrics)

    def own_step_tensorflow(self, data):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self.loss_of(*data)
        gradients = tape.gradient(loss, self.trainable_variables)
        return self.apply_own(gradients, loss)

    def own_step_torch(self, data):
        self.zero_grad()
        loss = self.loss_of(*data)
        loss.backward()
        gradients = [v.value.grad for v in self.trainable_weights]
        import torch

        with torch.no_grad():
            return self.apply_own(gradients, loss)

    def apply_own(self, gradients, loss):
        self.optimizer.apply(gradients, self.trainable_variables)
        self.tracker.update_state(loss)
        return {"own": self.tracker.result()}

    def train_step(self, *step):
        return getattr(self, f"own_step_{BACKEND}")(*step)


@REGISTER
class ByCall(OwnStep):
    """Calls itself, as most do; keeps a metric without a `metrics` property."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(16, "relu", name="first")
        self.norm = layers.BatchNormalization()
        self.last = layers.Dense(3, name="last")
        self.tracker = keras.metrics.Mean(name="own")

    def call(self, inputs, training=None):
        return self.last(self.norm(self.first(inputs), training=training))

    def loss_of(self, x, y):
        return ops.mean(ops.square(self(x, training=True) - y))


@REGISTER
class ByLayers(ByCall):
    """Calls its layers, as autoencoders and GANs do: no mask is in the way."""

    def loss_of(self, x, y):
        hidden = self.norm(self.first(x), training=True)
        return ops.mean(ops.square(self.last(hidden) - y))

    @property
    def metrics(self):
        return [self.tracker]


@REGISTER
class Functional(OwnStep):
    """A graph of layers whose class has a step."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tracker = keras.metrics.Mean(name="own")

    def loss_of(self, x, y):
        return ops.mean(ops.square(self(x, training=True) - y))


@REGISTER
class Stacked(keras.Sequential):
    """A Sequential of the user's own with a loss of its own."""

    def compute_loss(self, *args, **kwargs):
        return 100 + super().compute_loss(*args, **kwargs)


def by_call():
    return ByCall()


def by_layers():
    return ByLayers()


def graph():
    inputs = keras.Input((6,))
    x = layers.Dense(16, "relu", name="first")(inputs)
    x = layers.BatchNormalization()(x)
    return Functional(inputs, layers.Dense(3, name="last")(x))


@pytest.mark.parametrize("build", [by_call, by_layers, graph])
def test_train_step(build, assert_zero_outside, tmp_path):
    model = build()
    dense = ops.convert_to_numpy(model(X))
    sparse = keras_snn.sparsify(model, 0.0)
    np.testing.assert_allclose(
        ops.convert_to_numpy(sparse(X)), dense, atol=1e-6
    )
    sparse = keras_snn.sparsify(keras_snn.strip(sparse), 0.5)
    assert isinstance(sparse, type(model))
    weights = [w.numpy() for w in model.weights]
    sparse.compile(
        keras.optimizers.SGD(0.05, momentum=0.9), loss="mse", jit_compile=JIT
    )
    sparse.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    assert_zero_outside(sparse)
    history = sparse.fit(
        X,
        Y,
        batch_size=4,
        epochs=3,
        verbose=0,
        callbacks=[keras_snn.SETUpdate(1)],
    ).history
    assert history["own"][-1] < history["own"][0] and "loss" not in history
    assert_zero_outside(sparse)
    moved = [
        (w.numpy() != old).any()
        for w, old in zip(model.weights, weights, strict=True)
    ]
    assert all(moved)  # Statistics of the normalisation, too.

    outputs = ops.convert_to_numpy(sparse(X))
    sparse.save(tmp_path / "sparse.keras")
    loaded = keras.saving.load_model(tmp_path / "sparse.keras")
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(X)), outputs, atol=1e-6
    )
    loaded.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    assert_zero_outside(loaded)
    np.testing.assert_allclose(
        ops.convert_to_numpy(keras_snn.strip(sparse)(X)), outputs, atol=1e-6
    )


def test_a_loss_of_a_sequential_of_your_own(assert_zero_outside, tmp_path):
    model = Stacked([keras.Input((6,)), layers.Dense(3)], name="stacked")
    dense = ops.convert_to_numpy(model(X))
    sparse = keras_snn.sparsify(model, 0.0)
    np.testing.assert_allclose(
        ops.convert_to_numpy(sparse(X)), dense, atol=1e-6
    )
    keras_snn.prune_random(sparse, 0.5)
    sparse.compile("sgd", "mse", jit_compile=JIT)
    loss = sparse.fit(X, Y, epochs=1, verbose=0).history["loss"]
    assert 100 < loss[0] < 110
    assert_zero_outside(sparse)
    sparse.save(tmp_path / "stacked.keras")
    loaded = keras.saving.load_model(tmp_path / "stacked.keras")
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(X)),
        ops.convert_to_numpy(sparse(X)),
        atol=1e-6,
    )
    assert isinstance(loaded, Stacked)
    assert keras_snn.strip(sparse) is model


@REGISTER
class Adversary(keras.Model):
    """Two optimizers, as a GAN has, and a method beside the step."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(3, name="inner")

    def call(self, inputs):
        return self.inner(inputs)

    def compile(self, second_optimizer, **kwargs):
        super().compile(**kwargs)
        self.second_optimizer = second_optimizer

    def doubled(self, inputs):
        return 2 * self(inputs)


def test_compile_and_methods():
    model = Adversary()
    model(X)
    sparse = keras_snn.sparsify(model, 0.5)
    sparse.compile("second", optimizer="sgd", loss="mse", jit_compile=JIT)
    assert sparse.second_optimizer == "second"
    np.testing.assert_allclose(
        ops.convert_to_numpy(sparse.doubled(X)),
        2 * ops.convert_to_numpy(model(X)),
        atol=1e-6,
    )
    sparse.fit(X, Y, epochs=1, verbose=0)
    assert not hasattr(model, "second_optimizer")
