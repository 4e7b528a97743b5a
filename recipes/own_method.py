"""A method of one's own, beside SET and RigL: an example to begin with.

It grows weights where the inputs of a layer vary most over a batch of images:
a unit that says the same of all of them teaches nothing. Not a figure of "Are
Sparse Neural Networks Better Hard Sample Learners?", and no published method;
its row in `METHODS` is all that a grid, its table and its figure need.

    python recipes/own_method.py                     # minutes

quick: handwritten digits, ResNet18 with an eighth of the channels, one seed: 4
networks. Writes results.csv, table.txt, accuracy.png and .svg, and each
network.
"""

import sys

import keras
import numpy as np
from keras import ops

from keras_snn import DropAndGrow
from keras_snn.experiments import METHODS
from keras_snn.experiments import Method
from keras_snn.experiments import figures
from keras_snn.experiments import studies
from keras_snn.experiments.presets import QUICK
from keras_snn.experiments.recipe import main


class VarianceUpdate(DropAndGrow):
    """Drops the smallest weights, grows those whose inputs vary most."""

    def __init__(self, images, interval=4, *, drop_fraction=0.3, **options):
        super().__init__(interval, drop_fraction=drop_fraction, **options)
        self.images = images

    def gradients(self, model, weights, step):
        layers = {path: m.owner.layer for path, m in weights.items()}
        network = next(iter(weights.values())).owner.layers[0]
        symbols = [layer.input for layer in layers.values()]
        inputs = keras.Model(network.input, symbols)(self.images)
        return {
            path: np.broadcast_to(_variance(x)[:, None], m.weight.shape)
            for (path, m), x in zip(weights.items(), inputs, strict=True)
        }

    def grow(self, update, mask, count):
        return update.pattern.grow_highest(update.gradient, mask, count)


def _variance(inputs):
    array = ops.convert_to_numpy(inputs)
    return array.reshape(-1, array.shape[-1]).var(axis=0)


METHODS["variance"] = Method(
    "Variance",
    colour="#117733",
    marker="P",
    distribution="erk",
    callbacks=lambda trial, x, y: [
        VarianceUpdate(x[:128], trial.interval, seed=trial.seed)
    ],
)
PRESETS = {
    "quick": {
        **QUICK,
        "model": "resnet18",
        "hard": "none",
        "method": ["dense", "variance", "set", "rigl"],
        "sparsity": [0.9],
        "data_ratio": [1.0],
    }
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    return studies.compare(settings, figures.accuracy_lines)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
