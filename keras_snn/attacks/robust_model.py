"""What all models share that `fit` trains against attacks."""

import keras
from keras import ops

from keras_snn import backend
from keras_snn import checks

HALF_A_GREY_LEVEL = 0.5 / 255


class RobustModel(keras.Model):
    """A model around the one that `fit` trains.

    A base class: see `AdversarialModel` and `FreeAdversarialModel`.

    Args:
        model: A built Keras model of one input, images in [0, 1].
    """

    _parts = ("model",)  # Arguments that are objects of Keras.

    def __init__(self, model, **kwargs):
        super().__init__(**kwargs)
        checks.check_built(model)
        self.model = model
        self.built = True

    def call(self, inputs, training=None):
        """Run the model itself, without an attack."""
        return self.model(inputs, training=training)

    def fit(self, x=None, y=None, *args, **kwargs):
        """Train on attacked images: see `keras.Model.fit`."""
        if hasattr(x, "shape"):
            checks.check_images(x)
            if y is None:
                raise ValueError(
                    "Argument `y` must hold the classes of the images, or "
                    "there is no loss to attack. Received: y=None"
                )
        return super().fit(x, y, *args, **kwargs)

    def train_step(self, *step):
        """Train on a batch: see `keras.Model`."""
        return backend.quick(super().train_step)(*step)

    def get_config(self):
        """The model and all arguments, for Keras to save."""
        serialize = keras.saving.serialize_keras_object
        parts = {part: serialize(getattr(self, part)) for part in self._parts}
        return {**super().get_config(), **parts}

    @classmethod
    def from_config(cls, config):
        """Build from what `get_config` returned."""
        deserialize = keras.saving.deserialize_keras_object
        parts = {p: deserialize(config[p]) for p in cls._parts if p in config}
        return cls(**{**config, **parts})


def unpack(data):
    """Images, classes and sample weights of a training step's data.

    Images outside [0, 1] are NaN.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    x = ops.convert_to_tensor(x)
    checks.check_float(x)
    outside = (x < -HALF_A_GREY_LEVEL) | (x > 1.0 + HALF_A_GREY_LEVEL)
    return ops.where(outside, float("nan"), x), y, sample_weight
