"""Gradual magnitude pruning in `fit`, against tfmot's in tf_keras.

A small VGG of the layers that both have, pruned from 0 to .9 by both schedules
at every second step, over all epochs that are timed; and dense in both beside
it: what Keras 3 itself takes more or less than tf_keras is not ours.
"""

import itertools

from tools.bench import frame
from tools.bench import networks

BATCH_SIZE = 64
STEPS = 4
PAIRS = 11, 3
PEER = "tensorflow-model-optimization"


def small_vgg(keras):
    """Six convolutions with BatchNorm and a hidden layer, in either Keras."""
    layers = keras.layers
    model = keras.Sequential([keras.layers.InputLayer((32, 32, 3))])
    for filters in (32, 64, 128):
        for _ in range(2):
            model.add(layers.Conv2D(filters, 3, padding="same"))
            model.add(layers.BatchNormalization())
            model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    for layer in (
        layers.Flatten(),
        layers.Dense(512, activation="relu"),
        layers.Dense(networks.CLASSES),
    ):
        model.add(layer)
    return model


def in_tf_keras(model):
    """The model of tf_keras, compiled as `networks.compiled` has it."""
    import tf_keras

    model.compile(
        tf_keras.optimizers.SGD(0.01, momentum=0.9),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def epochs():
    """How many are timed, and the one before."""
    return 1 + frame.pick(*PAIRS)


def next_epochs(keras, model, callbacks):
    """A function that trains one epoch more, of all, on each call."""
    x, y = networks.samples((32, 32, 3), BATCH_SIZE * STEPS)
    begun = itertools.count()

    class Pause(keras.callbacks.Callback):
        """Ends `fit` after an epoch."""

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    return lambda: model.fit(
        x,
        y,
        BATCH_SIZE,
        epochs=epochs(),
        initial_epoch=next(begun),
        callbacks=[*callbacks, Pause()],
        verbose=0,
    )


def timed(ours, theirs, our_callbacks=(), their_callbacks=()):
    """Ratios of the time of an epoch, ours over theirs."""
    import keras
    import tf_keras

    return frame.in_turn(
        next_epochs(keras, ours, our_callbacks),
        next_epochs(tf_keras, theirs, their_callbacks),
        frame.pick(*PAIRS),
    )


def pruning():
    """GMP in both."""
    import keras
    import tensorflow_model_optimization as tfmot
    import tf_keras

    import keras_snn
    from keras_snn.schedules import PolynomialDecay

    sparsity = tfmot.sparsity.keras
    end = epochs() * STEPS
    theirs = in_tf_keras(
        sparsity.prune_low_magnitude(
            small_vgg(tf_keras),
            sparsity.PolynomialDecay(0.0, 0.9, 0, end, frequency=2),
        )
    )
    ours = networks.compiled(keras_snn.sparsify(small_vgg(keras), 0.0))
    schedule = PolynomialDecay(0.0, 0.9, 0, end, frequency=2)
    return timed(
        ours,
        theirs,
        [keras_snn.GMPUpdate(schedule, scope="layer")],
        [sparsity.UpdatePruningStep()],
    )


def dense():
    """The dense network in Keras 3 and in tf_keras."""
    import keras
    import tf_keras

    return timed(
        networks.compiled(small_vgg(keras)), in_tf_keras(small_vgg(tf_keras))
    )


def cases():
    """Both pruned, and both dense."""
    yield frame.Case("fit with GMP", pruning, peer=PEER, goal=1)
    yield frame.Case("the same dense: Keras itself", dense, peer="tf_keras")
