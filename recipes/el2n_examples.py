"""Images of the highest and the lowest EL2N score: Figure 1.

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: a high score
marks samples that look unlike their class.

    python recipes/el2n_examples.py                  # minutes
    python recipes/el2n_examples.py --preset paper   # 1 GPU-hour

quick: handwritten digits, scored by one narrow network. paper: CIFAR-100's
classes 11, 22, 31, 43 and 52, as in the official code, scored by ten networks
at epoch 20: 3.3e16 FLOPs, 0.04 GPU-days at 11 TFLOP/s. Writes el2n.png and
.svg.
"""

import sys

from keras_snn.experiments import studies
from keras_snn.experiments.presets import PAPER
from keras_snn.experiments.presets import QUICK
from keras_snn.experiments.recipe import main

PRESETS = {
    "quick": {
        **QUICK,
        "model": "resnet18",
        "hard": "el2n",
        "method": ["dense"],
        "sparsity": [0.0],
        "data_ratio": [1.0],
        "seed": [0],
    },
    "paper": {
        **PAPER,
        "model": "resnet18",
        "hard": "el2n",
        "method": ["dense"],
        "sparsity": [0.0],
        "data_ratio": [1.0],
        "seed": [0],
    },
}


def run(settings):
    """Scores the training images, and shows the ends of their order."""
    return studies.examples(settings)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, PRESETS))
