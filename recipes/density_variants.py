"""Layer-wise density, without the method: Figures 8 (a, b), 13 and 14.

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: given
ERK's densities, even a random mask does well; uniform ones do worse.

    python recipes/density_variants.py                  # minutes
    python recipes/density_variants.py --preset paper   # days on one GPU

quick: ResNet18 on the hardest handwritten digits, an eighth of the channels,
one seed. paper: ResNet18 on CIFAR-100 by EL2N (Figure 8a). paper-corruption,
paper-resnet34: Figures 8b and 13; with --preset paper-resnet34-corruption, 14.
Writes results.csv, accuracy.png and .svg, and each network.
"""

import sys

from keras_snn.experiments import figures
from keras_snn.experiments import studies
from keras_snn.experiments.presets import PAPER
from keras_snn.experiments.presets import QUICK
from keras_snn.experiments.recipe import main

PRESETS = {
    "quick": {
        **QUICK,
        "model": "resnet18",
        "hard": "el2n",
        "sparsity": [0.8],
        "methods": ["dense", "omp", "omp_erk", "random", "uniform"],
    },
    "paper": {
        **PAPER,
        "model": "resnet18",
        "hard": "el2n",
        "sparsity": [0.8],
        "data_ratio": [0.3],
        "methods": ["dense", "omp", "omp_erk", "random", "uniform"],
    },
    "paper-corruption": {
        **PAPER,
        "model": "resnet18",
        "hard": "corruption",
        "sparsity": [0.8],
        "data_ratio": [0.3],
        "methods": ["dense", "omp", "omp_erk", "random", "uniform"],
    },
    "paper-resnet34": {
        **PAPER,
        "model": "resnet34",
        "hard": "el2n",
        "dataset": "tiny_imagenet",
        "sparsity": [0.8, 0.7],
        "methods": ["dense", "omp", "omp_erk", "random", "uniform"],
    },
    "paper-resnet34-corruption": {
        **PAPER,
        "model": "resnet34",
        "hard": "corruption",
        "dataset": "tiny_imagenet",
        "sparsity": [0.8, 0.7],
        "methods": ["dense", "omp", "omp_erk", "random", "uniform"],
    },
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    studies.compare(settings, figures.accuracy_bars)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
