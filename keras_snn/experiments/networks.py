"""The networks that trials train. One of your own is one line:

MODELS["mine"] = Network("My network", build=build)
"""

import dataclasses
from collections.abc import Callable

from keras_snn import models
from keras_snn.datasets import SOURCES
from keras_snn.experiments.registry import Row
from keras_snn.models.parts import STATISTICS


@dataclasses.dataclass(frozen=True)
class Network(Row):
    """A network, for whatever data it is to learn.

    Attributes:
        label: Its name in figures and tables.
        build: Called as `build(trial, source)`, with the trial and the
            `keras_snn.datasets.Source` of its data; gives a built Keras model
            from images in [0, 1] to logits, its weights drawn by `trial.seed`.

    Example:

    ```python
    def build(trial, source):
        image = keras.Input(source.image_shape)
        initial = keras.initializers.HeNormal(trial.seed)
        x = keras.layers.Flatten()(image)
        x = keras.layers.Dense(source.classes, kernel_initializer=initial)(x)
        return keras.Model(image, x)


    MODELS["mine"] = Network("My network", build=build)
    ```
    """

    label: str
    build: Callable


def build(trial):
    """The network of a trial, dense."""
    return MODELS[trial.model].build(trial, SOURCES[trial.dataset])


def _built(network, trial, source, **options):
    known = trial.dataset in STATISTICS
    return network(
        source.image_shape,
        source.classes,
        width=trial.width,
        normalization=trial.dataset if known else None,
        seed=trial.seed,
        **options,
    )


def _resnet18(trial, source):
    stem = trial.stem or source.stem
    return _built(models.resnet18, trial, source, stem=stem)


def _resnet34(trial, source):
    stem = trial.stem or source.stem
    return _built(models.resnet34, trial, source, stem=stem)


def _vgg16(trial, source):
    return _built(models.vgg16, trial, source)


def _vgg19(trial, source):
    return _built(models.vgg19, trial, source, last_pool=trial.last_pool)


# Of a ResNet: "" is the stem for images of that size, which the data knows.
STEM = {"stem": ""}

MODELS = {
    "resnet18": Network("ResNet18", _resnet18, options=STEM),
    "resnet34": Network("ResNet34", _resnet34, options=STEM),
    "vgg16": Network("VGG16", _vgg16),
    "vgg19": Network("VGG19", _vgg19, options={"last_pool": "average"}),
}
