"""Layer-wise density, without the method: Figures 8 (a, b), 13 and 14.

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: given
ERK's densities, even a random mask does well; uniform ones do worse.

    python recipes/density_variants.py                  # minutes
    python recipes/density_variants.py --preset paper   # 0.2 GPU-days

quick: ResNet18 on the hardest handwritten digits, an eighth of the channels,
one seed. paper, paper-corruption: ResNet18 on CIFAR-100 by EL2N and corrupted
(Figure 8, a and b), 25 and 15 networks, 0.2 GPU-days each at 11 TFLOP/s.
paper-resnet34, paper-resnet34-corruption: ResNet34 on TinyImageNet (Figures 13
and 14), 64 and 54 networks, 5.3 and 5.2 GPU-days. Writes results.csv,
table.txt, accuracy.png and .svg, and each network.
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
        "method": ["dense", "omp", "omp_erk", "random", "uniform"],
    },
    "paper": {
        **PAPER,
        "model": "resnet18",
        "hard": "el2n",
        "sparsity": [0.8],
        "data_ratio": [0.3],
        "method": ["dense", "omp", "omp_erk", "random", "uniform"],
    },
    "paper-corruption": {
        **PAPER,
        "model": "resnet18",
        "hard": "corruption",
        "sparsity": [0.8],
        "data_ratio": [0.3],
        "method": ["dense", "omp", "omp_erk", "random", "uniform"],
    },
    "paper-resnet34": {
        **PAPER,
        "model": "resnet34",
        "hard": "el2n",
        "dataset": "tiny_imagenet",
        "sparsity": [0.8, 0.7],
        "method": ["dense", "omp", "omp_erk", "random", "uniform"],
    },
    "paper-resnet34-corruption": {
        **PAPER,
        "model": "resnet34",
        "hard": "corruption",
        "dataset": "tiny_imagenet",
        "sparsity": [0.8, 0.7],
        "method": ["dense", "omp", "omp_erk", "random", "uniform"],
    },
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    return studies.compare(settings, figures.accuracy_points)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
