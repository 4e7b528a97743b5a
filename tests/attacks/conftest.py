"""A small problem, and a small network that has learnt it."""

import keras
import numpy as np
import pytest
from keras import layers

LOGITS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def images_of_classes(n, seed=0):
    """Four classes of 6x6 images: one faint bright quarter each, in noise."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 4
    x = random.uniform(0.2, 0.8, (n, 6, 6, 1))
    for image, label in zip(x, y, strict=True):
        row, col = 3 * (label // 2), 3 * (label % 2)
        image[row : row + 3, col : col + 3] += 0.2
    return np.clip(x, 0, 1).astype("float32"), y


def small_network(softmax=False):
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(6, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(4, activation="softmax" if softmax else None),
        ]
    )


@pytest.fixture
def images():
    return images_of_classes(24, seed=1)


@pytest.fixture
def network():
    """A new network, compiled."""
    model = small_network()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), LOGITS_LOSS)
    return model


@pytest.fixture(scope="session")
def trained():
    """A trained network; tests must not alter it."""
    keras.utils.set_random_seed(0)
    model = small_network()
    model.compile(
        keras.optimizers.Adam(0.02), LOGITS_LOSS, metrics=["accuracy"]
    )
    x, y = images_of_classes(512)
    model.fit(x, y, epochs=8, batch_size=64, verbose=0)
    return model
