"""Sparse ResNet18 on the hardest samples by EL2N: Figures 2 and 3.

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: on the hardest samples most
sparse networks match or beat the dense one at some sparsities, the more so
with little data.

    python recipes/el2n_resnet18.py                  # minutes
    python recipes/el2n_resnet18.py --preset paper   # 3.9 GPU-days

The samples of the highest EL2N score train each network from scratch; the
test images are ordinary. quick: handwritten digits, an eighth of the channels,
one seed. paper: CIFAR-100, hardest 50% and 30%, three seeds (Figure 2, a and
c): 286 networks, 3.7e18 FLOPs, 3.9 GPU-days at 11 TFLOP/s. paper-grid: dense
against SET at nine data ratios (Figure 3): 280 networks, 4.5e18 FLOPs, 4.8
GPU-days. Writes results.csv, table.txt, accuracy.png and .svg, and each
network.
"""

import sys

from keras_snn.experiments import figures
from keras_snn.experiments import studies
from keras_snn.experiments.presets import PAPER
from keras_snn.experiments.presets import QUICK
from keras_snn.experiments.recipe import main

PRESETS = {
    "quick": {**QUICK, "model": "resnet18", "hard": "el2n"},
    "paper": {
        **PAPER,
        "model": "resnet18",
        "hard": "el2n",
        "data_ratio": [0.5, 0.3],
    },
    "paper-grid": {
        **PAPER,
        "model": "resnet18",
        "hard": "el2n",
        "method": ["dense", "set"],
        "data_ratio": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    },
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    return studies.compare(settings, figures.accuracy_lines)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
