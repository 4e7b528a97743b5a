"""What accuracy costs: training FLOPs and parameters, Figure 8 (c, d).

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: SET
and SNIP reach the accuracy of methods that first train a dense network, for a
fraction of the training FLOPs.

    python recipes/training_flops.py                  # minutes
    python recipes/training_flops.py --preset paper   # 1.5 GPU-days

FLOPs are counted from layer shapes and masks over time, see
keras_snn/flops/counting.py; nothing computed here runs faster for it. quick:
ResNet18 on the hardest handwritten digits. paper: CIFAR-100 by EL2N, 148
networks, 1.5 GPU-days at 11 TFLOP/s; paper-corruption: corrupted, 138, 1.4.
They are networks of Figures 2 and 4; each method shows its best five
sparsities. Writes results.csv, table.txt, flops.png and .svg.
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
        "data_ratio": [0.3],
    },
    "paper-corruption": {
        **PAPER,
        "model": "resnet18",
        "hard": "corruption",
        "data_ratio": [0.3],
    },
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    return studies.compare(settings, figures.flops_bubbles, name="flops")


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
