"""Sparse VGG19 on corrupted images: Figure 5.

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: on corrupted images most
sparse networks match or beat the dense one at some sparsities, the more so
with little data.

    python recipes/corruption_vgg19.py                  # minutes
    python recipes/corruption_vgg19.py --preset paper   # 4.5 GPU-days

As corruption_resnet18.py. quick: handwritten digits, an eighth of the
channels, one seed. paper: CIFAR-100, severity 5, three seeds: 276 networks,
4.3e18 FLOPs, 4.5 GPU-days at 11 TFLOP/s. Writes results.csv, table.txt,
accuracy.png and .svg, and each network.
"""

import sys

from keras_snn.experiments import figures
from keras_snn.experiments import studies
from keras_snn.experiments.presets import PAPER
from keras_snn.experiments.presets import QUICK
from keras_snn.experiments.recipe import main

PRESETS = {
    "quick": {**QUICK, "model": "vgg19", "hard": "corruption"},
    "paper": {**PAPER, "model": "vgg19", "hard": "corruption"},
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    return studies.compare(settings, figures.accuracy_lines)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
