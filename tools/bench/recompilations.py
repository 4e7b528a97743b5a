"""How often a training step is traced anew because masks changed: never.

SET changes all masks before every step but the first, in an epoch that follows
one epoch, in which all is compiled. PyTorch runs eagerly and compiles nothing.
"""

from tools.bench import frame
from tools.bench import networks


def traced():
    """Traces of the model in the second epoch, as one number."""
    import keras

    import keras_snn

    class Counting(keras.layers.Layer):
        """Counts how often Python runs through it."""

        count = 0

        def call(self, x):
            Counting.count += 1
            return x

    model = keras.Sequential(
        [keras.Input((784,)), Counting(), *networks.mlp(64).layers]
    )
    model = networks.compiled(keras_snn.sparsify(model, 0.9))
    update = keras_snn.SETUpdate(interval=1, unit="steps")
    fit = networks.fits(model, batch_size=8, steps=8, callbacks=[update])
    fit()
    if not Counting.count:
        raise RuntimeError("The model was not traced, so nothing is counted")
    before = keras_snn.get_masks(model)
    Counting.count = 0
    fit()
    after = keras_snn.get_masks(model)
    if all((after[path] == mask).all() for path, mask in before.items()):
        raise RuntimeError(
            "No mask changed, so nothing was to be compiled anew"
        )
    return [Counting.count]


def cases():
    """One."""
    yield frame.Case(
        "traces by mask updates in 8 steps",
        traced,
        peer="keras",
        goal=0,
        unit="traces",
    )
