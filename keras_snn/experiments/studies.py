"""The paper's kinds of experiment, each a function of a recipe's options."""

import numpy as np

from keras_snn import datasets
from keras_snn.experiments import data
from keras_snn.experiments import figures
from keras_snn.experiments import recipe
from keras_snn.experiments import run
from keras_snn.experiments import tables
from keras_snn.export.conversion import check_installed

MOST_CLASSES = 10
NAMES = {
    "resnet18": "ResNet18",
    "resnet34": "ResNet34",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
}
TITLES = {
    "adversarial": "adversarial training (PGD)",
    "corruption": "common corruptions",
    "el2n": "hardest samples by EL2N",
    "none": "ordinary samples",
}


def compare(settings, figure, *, name="accuracy", export=False):
    """Runs a grid of trials, and shows it as a figure and a table.

    Args:
        settings: The recipe's options.
        figure: A function of `keras_snn.experiments.figures`.
        name: Of the figure's files, without suffix.
        export: Whether to write each network as TFLite, too.

    Returns:
        The results, a list of dicts.
    """
    # What is missing shall be missed before hours of training.
    figures.pyplot()
    if export:
        check_installed()
    results = recipe.run(settings, recipe.trials(settings), export=export)
    where = f"{NAMES[settings.model]} on {settings.dataset}"
    title = f"{where}, {TITLES[settings.hard]}"
    figures.save(figure(results, title), settings.out / name)
    tables.show(results)
    print(f"Results, figure and networks are in {settings.out}/")
    return results


def examples(settings, per_class=5):
    """Shows the images of the highest and the lowest EL2N: Figure 1.

    Args:
        settings: The recipe's options.
        per_class: How many images of each kind and class.
    """
    figures.pyplot()
    trial = recipe.trials(settings)[0]
    train = recipe.begin(settings, trial.scoring)
    scores = data.scores(
        trial, train, lambda t: run.network(t, settings.out, settings.data_dir)
    )
    classes = datasets.SOURCES[trial.dataset].classes
    low, high = {}, {}
    for label in range(min(classes, MOST_CLASSES)):
        of_class = np.flatnonzero(train.y == label)
        order = of_class[np.argsort(scores[of_class], kind="stable")]
        low[str(label)] = train.x[order[:per_class]]
        high[str(label)] = train.x[order[::-1][:per_class]]
    figure = figures.example_images(
        {"Lowest EL2N": low, "Highest EL2N": high},
        f"The ends of {trial.dataset} by EL2N, by class",
    )
    figures.save(figure, settings.out / "el2n")
    print(f"The figure is in {settings.out}/")
