import keras
import pytest

from keras_snn.experiments import MODELS
from keras_snn.experiments import Network
from keras_snn.experiments import Trial


def tiny(trial, source):
    """A network of a user's own, so that a trial takes a second."""
    image = keras.Input(source.image_shape, name="image")
    x = keras.layers.AveragePooling2D(4, name="shrink")(image)
    x = keras.layers.Conv2D(
        4, 3, strides=2, name="conv", kernel_initializer=uniform(trial.seed)
    )(x)
    x = keras.layers.BatchNormalization(name="bn", momentum=0.5)(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(
        source.classes,
        name="logits",
        kernel_initializer=uniform(trial.seed + 1),
    )(x)
    return keras.Model(image, x, name="tiny")


def uniform(seed):
    return keras.initializers.RandomUniform(-0.3, 0.3, seed=seed)


@pytest.fixture
def tiny_model(monkeypatch):
    monkeypatch.setitem(MODELS, "tiny", Network("Tiny", tiny))


@pytest.fixture
def trial_of(tiny_model):
    def trial(method="set", **changes):
        fields = {
            "sparsity": 0.8,
            "dataset": "digits",
            "model": "tiny",
            "data_ratio": 0.1,
            "epochs": 3,
            "interval": 1,
            "batch_size": 64,
            "hard": "adversarial",
            "attack_steps": 1,
            "test_attack_steps": 1,
        }
        return Trial(method=method, **{**fields, **changes})

    return trial


def quiet(line):
    del line
