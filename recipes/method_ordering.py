"""Methods on ordinary images: what the literature agrees on.

Not a figure of "Are Sparse Neural Networks Better Hard Sample Learners?", but a
check of the methods before hard samples. The claims: at high sparsity RigL is
at least as good as SET, SET better than a fixed random mask of ERK densities,
and that better than one of uniform densities ("Rigging the Lottery",
https://arxiv.org/abs/1911.11134); GMP and RigL are near the dense network at a
sparsity of 0.8; SNIP cuts a VGG at 0.98, where SynFlow does not ("Pruning
neural networks without any data by iteratively conserving synaptic flow",
https://arxiv.org/abs/2006.05467).

    python recipes/method_ordering.py                  # minutes
    python recipes/method_ordering.py --preset vgg     # minutes: SNIP, SynFlow
    python recipes/method_ordering.py --preset paper   # 1.2 GPU-days

quick: handwritten digits, ResNet18 with an eighth of the channels, one seed.
paper: CIFAR-10, three seeds: 33 networks, 1.1e18 FLOPs, 1.2 GPU-days at 11
TFLOP/s. Writes results.csv, table.txt, accuracy.png and .svg, and each network.
"""

import sys

from keras_snn.experiments import figures
from keras_snn.experiments import studies
from keras_snn.experiments.presets import PAPER
from keras_snn.experiments.presets import QUICK
from keras_snn.experiments.recipe import main

DYNAMIC = {
    "model": "resnet18",
    "hard": "none",
    "method": ["dense", "gmp", "rigl", "set", "random", "uniform"],
    "sparsity": [0.8, 0.95],
    "data_ratio": [1.0],
}
PRESETS = {
    "quick": {**QUICK, **DYNAMIC},
    "vgg": {
        **QUICK,
        "model": "vgg16",
        "hard": "none",
        "method": ["dense", "snip", "synflow"],
        "sparsity": [0.9, 0.98],
        "data_ratio": [1.0],
    },
    "paper": {**PAPER, **DYNAMIC, "dataset": "cifar10"},
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    return studies.compare(settings, figures.accuracy_lines)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
