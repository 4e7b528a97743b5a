"""Masked and sparse, the same training gives the same masks and weights."""

import tracemalloc

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import GMPUpdate
from keras_snn import LotteryTicket
from keras_snn import RigLUpdate
from keras_snn import SETUpdate
from keras_snn import get_masks
from keras_snn import schedules
from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.compute.sparse_layer import SparseLayer
from keras_snn.gradients import of_masked
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.masked_weight import MaskedWeight
from keras_snn.masking.nonzero_layer import NonzeroWeight

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4, 4, 3)).astype("float32")
Y = RNG.integers(0, 4, 24)
# Sparse layers say that they are slow, where they are not sparse.
pytestmark = pytest.mark.filterwarnings("ignore:A sparse layer is faster")


@keras.saving.register_keras_serializable(package="same_training")
class Trace(layers.Layer):
    """Counts how often the model is traced."""

    count = 0

    def call(self, inputs):
        Trace.count += 1
        return inputs


class Watch(keras.callbacks.Callback):
    """Counts the traces of a fit behind its first batch."""

    def on_train_begin(self, logs=None):
        self.traces = None

    def on_train_batch_begin(self, batch, logs=None):
        self.before = Trace.count  # Methods take gradients until now.

    def on_train_batch_end(self, batch, logs=None):
        if self.traces is not None and keras.backend.backend() != "torch":
            self.traces += Trace.count - self.before
        elif self.traces is None:
            self.traces = 0


def pair(sparsity, optimizer):
    """A model, masked and sparse, each with an optimizer of its own."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            Trace(),
            layers.Conv2D(16, 3, strides=2, padding="same", name="conv"),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dropout(0.2, seed=1),
            layers.Dense(24, activation="relu", name="hidden"),
            layers.Dense(4, name="last"),
        ]
    )
    for index, layer in enumerate(model.layers):
        if hasattr(layer, "kernel"):
            rng = np.random.default_rng(index)
            shape = layer.kernel.shape
            layer.kernel.assign(rng.normal(size=shape) / shape[-2] ** 0.5)
    masked = keras_snn.sparsify(model, sparsity, "uniform")
    models = masked, keras_snn.to_sparse(masked, "all")
    for each in models:
        each.compile(
            optimizer(),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=keras.backend.backend() == "jax",
        )
    return models


def fit(model, *callbacks, epochs=3):
    watch = Watch()
    history = model.fit(
        X,
        Y,
        batch_size=8,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[*callbacks, watch],
    )
    assert not watch.traces, "a mask update recompiled"
    return history.history


def assert_same(masked, sparse):
    stored = [
        layer
        for layer in sparse._flatten_layers()
        if isinstance(layer, SparseLayer)
    ]
    assert len(stored) == 3
    ours, theirs = masked_weights(masked), masked_weights(sparse)
    for path, weight in ours.items():
        np.testing.assert_array_equal(
            weight.mask_array(), theirs[path].mask_array()
        )
        np.testing.assert_allclose(
            weight.weight_array(),
            theirs[path].weight_array(),
            rtol=1e-3,
            atol=1e-5,
        )
    np.testing.assert_allclose(
        *(m.predict(X, verbose=0) for m in (masked, sparse)),
        rtol=1e-3,
        atol=1e-4,
    )


def sgd():
    return keras.optimizers.SGD(0.05, momentum=0.9, weight_decay=0.01)


METHODS = {
    "SET": lambda: SETUpdate(1, drop_fraction=0.4),
    "RigL": lambda: RigLUpdate((X, Y), 2, batch_size=8, end=1.0),
    "GMP": lambda: GMPUpdate(
        schedules.DuringTraining(0.8, begin=0, end=0.8, interval=2)
    ),
}


@pytest.mark.parametrize(
    ("method", "optimizer"),
    [
        ("SET", sgd),
        ("RigL", sgd),
        ("GMP", sgd),
        ("RigL", keras.optimizers.Adam),
    ],
)
def test_callbacks(method, optimizer):
    models = pair(0.3 if method == "GMP" else 0.75, optimizer)
    before = get_masks(models[0])
    logs = [fit(model, METHODS[method]()) for model in models]
    for name in {"sparsity", "exploration"} & set(logs[0]):
        assert logs[0][name] == logs[1][name], name
    assert_same(*models)
    after = get_masks(models[1])
    assert all((before[path] != after[path]).any() for path in before)


def test_adversarial_training():
    """The gradient by images, too, and none by weights in the attack."""
    models = pair(0.8, sgd)
    rng = np.random.default_rng(0)
    images = rng.random(X.shape, "float32")
    for model in models:
        robust = AdversarialModel(model, PGD(0.1, 0.05, 2))
        robust.compile(sgd(), model.loss)
        robust.fit(images, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert_same(*models)


def test_gradients_in_blocks(monkeypatch):
    monkeypatch.setattr(of_masked, "BLOCK", 50)
    models = pair(0.75, sgd)
    for model in models:
        fit(model, METHODS["RigL"](), epochs=2)
    assert_same(*models)


@pytest.mark.parametrize("method", ["SET", "RigL"])
def test_kernels_are_never_held(method, monkeypatch):
    """Nor masks of their shape, 4 GB where SET is to be measured."""
    for name in ("mask_array", "weight_array", "write"):
        monkeypatch.delattr(NonzeroWeight, name)
        monkeypatch.delattr(MaskedWeight, name)
    monkeypatch.setattr(of_masked.LayerGradients, "__getitem__", None)
    monkeypatch.setattr(of_masked, "BLOCK", 2**14)
    units = 2**16 if method == "SET" else 2**9
    model = keras.Sequential(
        [
            keras.Input((48,)),
            keras_snn.SparseDense(units, 0.99, activation="relu"),
            keras_snn.SparseDense(units, 1 - 2 / units, activation="relu"),
            keras_snn.SparseDense(4, 0.7),
        ]
    )
    jit_compile = keras.backend.backend() == "jax"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=jit_compile)
    x, before = X.reshape(24, 48), model.layers[1].positions()
    callback = {
        "SET": SETUpdate(1),
        "RigL": RigLUpdate((x, Y), 1, batch_size=8, unit="epochs"),
    }[method]
    history = model.fit(x, Y, epochs=2, verbose=0, callbacks=[callback])
    after = model.layers[1].positions()
    assert len(before) == len(after) == len(np.unique(after))
    moved = len(np.setdiff1d(after, before))
    explored = history.history["exploration"][-1] * (52 + units) * units
    assert explored >= len(before) + moved > len(before)
    if method == "SET":
        tracemalloc.start()
        callback.update(model, 2, 0.5)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < units * units / 64


def test_lottery_ticket_and_snip():
    models = pair(0.0, sgd)
    for model in models:
        ticket = LotteryTicket()
        fit(model, ticket, epochs=1)
        ticket.rewind(model, 0.5)
        fit(model, epochs=1)
        keras_snn.snip(model, X, Y, 0.75)
        fit(model, epochs=1)
    assert keras_snn.sparsity(models[1]) == pytest.approx(0.75, abs=1e-3)
    assert_same(*models)


def by_position(layer, slot):
    values = ops.convert_to_numpy(slot)[: len(layer.positions())]
    return dict(zip(layer.positions(), values, strict=True))


def test_slots_follow_moved_weights():
    """A weight that stays keeps its momentum; one that is grown has none."""
    _, sparse = pair(0.5, sgd)
    fit(sparse, epochs=1)
    layer = sparse.get_layer("hidden")
    (at,) = [
        i
        for i, v in enumerate(sparse.optimizer._trainable_variables)
        if v is layer.values
    ]
    slot = sparse.optimizer.momentums[at]
    before = by_position(layer, slot)
    mask = get_masks(sparse)["hidden/kernel"]
    dropped, grown = np.flatnonzero(mask)[0], np.flatnonzero(~mask)[-1]
    mask.flat[[dropped, grown]] = False, True
    keras_snn.set_masks(sparse, {"hidden/kernel": mask})
    after = by_position(layer, slot)
    assert after.pop(grown) == 0
    assert before.pop(dropped) != 0
    assert after == before


def test_sparse_layers_by_themselves():
    model = keras.Sequential(
        [
            keras.Input((48,)),
            keras_snn.SparseDense(32, 0.8, activation="relu"),
            layers.Dense(4),
        ]
    )
    model.compile("adam", "mse", jit_compile=keras.backend.backend() == "jax")
    (before,) = get_masks(model).values()
    model.fit(
        X.reshape(24, 48),
        np.ones((24, 4)),
        epochs=2,
        verbose=0,
        callbacks=[SETUpdate(1)],
    )
    (after,) = get_masks(model).values()
    assert (before != after).any()
    assert np.count_nonzero(before) == np.count_nonzero(after)
