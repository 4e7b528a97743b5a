"""Adversarial training of dense and sparse ResNet18: Figures 6 and 10.

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: trained on adversarial images
alone, most sparse networks match the dense one, and some beat it with little
data.

    python recipes/adversarial_resnet18.py                  # minutes
    python recipes/adversarial_resnet18.py --preset paper   # 13 GPU-days

quick: handwritten digits, an eighth of the channels, one seed. paper:
CIFAR-100 turned by up to 15 degrees, 200 epochs, three seeds, all and half of
the data, sparsity .9 and .8: 66 networks, 1.3e19 FLOPs, 13 GPU-days at 11
TFLOP/s. Each network trains on PGD-10 images (L-inf, radius 8/255) and is
tested on clean and on PGD-20 images. Writes results.csv, table.txt,
accuracy.png and .svg, and for each network a `.keras` and a `.tflite` file.
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
        "hard": "adversarial",
        "sparsity": [0.9],
        "data_ratio": [1.0],
    },
    "paper": {
        **PAPER,
        "model": "resnet18",
        "hard": "adversarial",
        "dataset": "cifar100",
        "sparsity": [0.9, 0.8],
        "data_ratio": [1.0, 0.5],
        "rotation": 15.0,
    },
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    return studies.compare(settings, figures.accuracy_points, export=True)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
