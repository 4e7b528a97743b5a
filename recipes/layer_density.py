"""Which layers keep their weights: Figures 7, 11 and 12.

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: the density of the
shallow layers matters; methods that do well keep them dense.

    python recipes/layer_density.py                  # minutes
    python recipes/layer_density.py --preset paper   # 0.5 GPU-days

quick: ResNet18 on the hardest handwritten digits, an eighth of the channels,
one seed. paper: ResNet18 on CIFAR-100 by EL2N (Figures 7a, 11a), 46 networks,
0.5 GPU-days at 11 TFLOP/s. paper-vgg19: on corrupted CIFAR-100 (7b, 11b), 36
networks, 0.6 GPU-days. paper-resnet34, paper-resnet34-corruption: on
TinyImageNet (12a, 12b), 28 and 18 networks, 0.9 and 0.8 GPU-days. All but the
ten that score are networks of Figures 2, 4 and 5. Writes results.csv,
table.txt, density.png and .svg.
"""

import sys

from keras_snn.experiments import figures
from keras_snn.experiments import studies
from keras_snn.experiments.presets import PAPER
from keras_snn.experiments.presets import QUICK
from keras_snn.experiments.recipe import main

PRESETS = {
    "quick": {**QUICK, "model": "resnet18", "hard": "el2n", "sparsity": [0.8]},
    "paper": {
        **PAPER,
        "model": "resnet18",
        "hard": "el2n",
        "sparsity": [0.8],
        "data_ratio": [0.5, 0.3],
    },
    "paper-vgg19": {
        **PAPER,
        "model": "vgg19",
        "hard": "corruption",
        "sparsity": [0.8],
    },
    "paper-resnet34": {
        **PAPER,
        "model": "resnet34",
        "hard": "el2n",
        "dataset": "tiny_imagenet",
        "sparsity": [0.8],
        "data_ratio": [0.3],
    },
    "paper-resnet34-corruption": {
        **PAPER,
        "model": "resnet34",
        "hard": "corruption",
        "dataset": "tiny_imagenet",
        "sparsity": [0.8],
        "data_ratio": [0.3],
    },
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    return studies.compare(settings, figures.density_lines, name="density")


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
