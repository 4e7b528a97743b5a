import keras
import pytest

from keras_snn import models


def tiny(input_shape, classes, *, width=1.0, normalization=None, seed=0):
    """Stands in for each network, so that a trial takes a second."""
    image = keras.Input(input_shape, name="image")
    x = keras.layers.AveragePooling2D(4, name="shrink")(image)
    x = keras.layers.Conv2D(
        4, 3, strides=2, name="conv", kernel_initializer=uniform(seed)
    )(x)
    x = keras.layers.BatchNormalization(name="bn", momentum=0.5)(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(
        classes, name="logits", kernel_initializer=uniform(seed + 1)
    )(x)
    return keras.Model(image, x, name="tiny")


def uniform(seed):
    return keras.initializers.RandomUniform(-0.3, 0.3, seed=seed)


@pytest.fixture
def tiny_model(monkeypatch):
    for name in ("resnet18", "resnet34", "vgg16", "vgg19"):
        monkeypatch.setattr(models, name, tiny)
