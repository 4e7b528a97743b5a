"""How much faster a layer trains that computes sparse, on this machine."""

import statistics
import time
import warnings

import keras
import numpy as np
from keras import ops

PAIRS = 7


def speedup(dense, sparse, input_shape, batch_size):
    """Times a training step of two layers in turn.

    Of the layer by itself, with the gradient by its inputs, and with what Keras
    spends on a step: where that is most of it, neither is much faster.

    Args:
        dense: A Keras layer, not built.
        sparse: Another one, which takes and gives the same shapes.
        input_shape: Of a sample, a tuple of ints.
        batch_size: How many samples a step has.

    Returns:
        A float, the median of the ratios of `PAIRS` pairs: above 1, `sparse`
        is faster.
    """
    x = np.random.default_rng(0).normal(size=(batch_size, *input_shape))
    x = x.astype("float32")
    models = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Whether it pays is what is asked.
        for layer in (dense, sparse):
            model = keras.Sequential(
                [keras.Input(input_shape), _Scale(name="scale"), layer],
                name="timed",
            )
            model.compile(keras.optimizers.SGD(0.0), "mse")
            y = np.zeros((batch_size, *model.output_shape[1:]), "float32")
            for _ in range(2):  # The first compiles.
                model.train_on_batch(x, y)
            models.append(model)
    ratios = []
    for _ in range(PAIRS):
        seconds = []
        for model in models:
            begin = time.perf_counter()
            model.train_on_batch(x, y)
            seconds.append(time.perf_counter() - begin)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios)


class _Scale(keras.layers.Layer):
    """A trainable factor: its gradient needs that by what comes behind."""

    def build(self, input_shape):
        self.factor = self.add_weight(name="factor", shape=())
        self.built = True

    def call(self, inputs):
        return ops.multiply(inputs, self.factor)
