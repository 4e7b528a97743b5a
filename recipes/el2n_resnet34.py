"""Sparse ResNet34 on the hardest samples by EL2N: Figure 2, b and d.

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: on the hardest samples most
sparse networks match or beat the dense one at some sparsities, the more so
with little data.

    python recipes/el2n_resnet34.py                  # minutes
    python recipes/el2n_resnet34.py --preset paper   # 16 GPU-days

As el2n_resnet18.py; on TinyImageNet with a 7x7 stem. quick: handwritten digits,
an eighth of the channels, one seed. paper: TinyImageNet, hardest 50% and 30%,
three seeds: 286 networks, 1.6e19 FLOPs, 16 GPU-days at 11 TFLOP/s. Writes
results.csv, table.txt, accuracy.png and .svg, and each network.
"""

import sys

from keras_snn.experiments import figures
from keras_snn.experiments import studies
from keras_snn.experiments.presets import PAPER
from keras_snn.experiments.presets import QUICK
from keras_snn.experiments.recipe import main

PRESETS = {
    "quick": {**QUICK, "model": "resnet34", "hard": "el2n"},
    "paper": {
        **PAPER,
        "model": "resnet34",
        "hard": "el2n",
        "dataset": "tiny_imagenet",
        "data_ratio": [0.5, 0.3],
    },
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    return studies.compare(settings, figures.accuracy_lines)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
