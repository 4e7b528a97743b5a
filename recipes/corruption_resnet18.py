"""Sparse ResNet18 on corrupted images: Figures 4 and 9.

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: on corrupted images most
sparse networks match or beat the dense one at some sparsities, the more so
with little data.

    python recipes/corruption_resnet18.py                  # minutes
    python recipes/corruption_resnet18.py --preset paper   # 6.3 GPU-days

Training and test images each have a random one of 15 corruptions, of the same
severity. quick: handwritten digits, an eighth of the channels, one seed.
paper: CIFAR-100, severity 5, three seeds (Figure 4, a and c): 276 networks,
6.0e18 FLOPs, 6.3 GPU-days at 11 TFLOP/s. paper-severity: severities 2, 4 and 6
with 30% of the data (Figure 9; 6 is our extrapolation, see
keras_snn/corruptions/severities.py): 414 networks, 4.1e18 FLOPs, 4.4 GPU-days.
Writes results.csv, table.txt, accuracy.png and .svg, and each network.
"""

import sys

from keras_snn.experiments import figures
from keras_snn.experiments import studies
from keras_snn.experiments.presets import PAPER
from keras_snn.experiments.presets import QUICK
from keras_snn.experiments.recipe import main

PRESETS = {
    "quick": {**QUICK, "model": "resnet18", "hard": "corruption"},
    "paper": {**PAPER, "model": "resnet18", "hard": "corruption"},
    "paper-severity": {
        **PAPER,
        "model": "resnet18",
        "hard": "corruption",
        "data_ratio": [0.3],
        "severity": [2, 4, 6],
    },
}


def run(settings):
    """Trains the grid, and shows it as a figure and a table."""
    return studies.compare(settings, figures.accuracy_lines)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
