"""The networks that are trained, compiled, and data for them."""

CLASSES = 10


def resnet18(width=1.0):
    """ResNet18 for images of 32x32."""
    from keras_snn import models

    return models.resnet18((32, 32, 3), CLASSES, width=width)


def vgg16(width=1.0):
    """VGG16 for images of 32x32."""
    from keras_snn import models

    return models.vgg16((32, 32, 3), CLASSES, width=width)


def transformer(width=1.0, length=64, blocks=4):
    """A small encoder, of 256 units and 8 heads, for vectors in a row."""
    from keras import Input
    from keras import Model
    from keras import layers

    units, heads = round(256 * width), 8
    entered = Input((length, 64))
    x = layers.Dense(units)(entered)
    for _ in range(blocks):
        seen = layers.LayerNormalization()(x)
        seen = layers.MultiHeadAttention(heads, units // heads)(seen, seen)
        x = layers.Add()([x, seen])
        seen = layers.LayerNormalization()(x)
        seen = layers.Dense(4 * units, activation="gelu")(seen)
        x = layers.Add()([x, layers.Dense(units)(seen)])
    x = layers.GlobalAveragePooling1D()(x)
    return Model(entered, layers.Dense(CLASSES)(x))


def mlp(width):
    """784, three times `width`, 10."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((784,)),
            *(layers.Dense(int(width), activation="relu") for _ in range(3)),
            layers.Dense(CLASSES),
        ]
    )


NETWORKS = {
    "ResNet18": resnet18,
    "VGG16": vgg16,
    "transformer": transformer,
}


def compiled(model):
    """The model, compiled for training by SGD with momentum, on logits."""
    import keras

    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def samples(shape, count):
    """Uniform noise in [0, 1] of that shape each, and random classes."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.random((count, *shape), "float32")
    return x, rng.integers(0, CLASSES, count)


def fits(model, batch_size, steps, callbacks=()):
    """A function that trains a model on so many batches of noise."""
    x, y = samples(model.input_shape[1:], batch_size * steps)
    return lambda: model.fit(
        x, y, batch_size, callbacks=list(callbacks), verbose=0
    )
