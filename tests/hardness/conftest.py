"""A small problem with wrong labels in it, and networks that learn it."""

import keras
import numpy as np
import pytest
from keras import layers

LOGITS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def samples(n, seed=0):
    """Points around four corners, and the numbers of the corners."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 4, n)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    x = corners[y] + random.normal(scale=0.15, size=(n, 2))
    return x.astype("float32"), y


def network(softmax=False):
    return keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(16, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(4, activation="softmax" if softmax else None),
        ]
    )


@pytest.fixture
def data():
    return samples(60)


@pytest.fixture
def model():
    """A new network, compiled."""
    model = network()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), LOGITS_LOSS)
    return model


@pytest.fixture
def fixed_outputs():
    """Makes a model whose outputs are given, one row for each sample."""

    def make(outputs, loss=LOGITS_LOSS):
        outputs = np.asarray(outputs, "float32")
        image = keras.Input((1,), dtype="int32")
        rows = layers.Embedding(*outputs.shape)
        model = keras.Model(image, layers.Flatten()(rows(image)))
        rows.embeddings.assign(outputs)
        if loss is not None:
            model.compile("sgd", loss)
        return model, np.arange(len(outputs))[:, None]

    return make
