"""Adversarial training of dense and sparse VGG16: Figures 6 and 10.

Of "Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196. The claim: trained on adversarial images
alone, most sparse networks match the dense one, and some beat it with little
data.

    python recipes/adversarial_vgg16.py                  # minutes on two cores
    python recipes/adversarial_vgg16.py --preset paper   # days on one GPU

quick: handwritten digits, an eighth of the channels, one seed. paper: CIFAR-10,
200 epochs, three seeds, all and half of the data, sparsity .9 and .8. Each
network trains on PGD-10 images (L-inf, radius 8/255) and is tested on clean
and on PGD-20 images. Writes results.csv, accuracy.png and .svg, and for each
network a `.keras` and a `.tflite` file.
"""

import sys

from keras_snn.experiments import figures
from keras_snn.experiments import recipe
from keras_snn.experiments import tables
from keras_snn.experiments.methods import PAPER_METHODS

PRESETS = {
    "quick": {
        "dataset": "digits",
        "width": 0.125,
        "epochs": 6,
        "batch_size": 32,
        "learning_rate": 0.03,
        "interval": 1,
        "augment": False,
        "methods": list(PAPER_METHODS),
        "sparsity": [0.9],
        "data_ratio": [1.0],
        "seeds": [0],
    },
    "paper": {
        "dataset": "cifar10",
        "width": 1.0,
        "epochs": 200,
        "batch_size": 128,
        "learning_rate": 0.1,
        "interval": 4,
        "methods": list(PAPER_METHODS),
        "sparsity": [0.9, 0.8],
        "data_ratio": [1.0, 0.5],
        "seeds": [0, 1, 2],
    },
}


def run(settings):
    """Trains the grid, and shows it as a table and a figure."""
    grid = recipe.trials(settings, model="vgg16", attack_eps=8 / 255)
    results = recipe.run(settings, grid, export=True)
    figure = figures.accuracy_bars(
        results, f"VGG16 on {settings.dataset}, adversarial training (PGD)"
    )
    figures.save(figure, settings.out / "accuracy")
    tables.show(results)
    print(f"Results, figure and networks are in {settings.out}/")


if __name__ == "__main__":
    sys.exit(recipe.main(run, __doc__, PRESETS))
