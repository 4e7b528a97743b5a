"""What makes samples hard, a row each. One of your own is one line:

KINDS["dark"] = Kind("dark images", change=darkened)

"Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196, has adversarial training, common corruptions,
and the samples of the highest EL2N.
"""

import dataclasses
from collections.abc import Callable

from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.datasets import Split
from keras_snn.experiments.corrupted import corrupted
from keras_snn.experiments.registry import Row
from keras_snn.experiments.relabelled import NOISE
from keras_snn.experiments.relabelled import check_noise
from keras_snn.experiments.relabelled import relabelled
from keras_snn.experiments.scored import CHOICE
from keras_snn.experiments.scored import RECORD
from keras_snn.experiments.scored import SCORES
from keras_snn.experiments.scored import check_choice
from keras_snn.experiments.scored import check_record
from keras_snn.experiments.scored import chosen
from keras_snn.experiments.scored import recorders
from keras_snn.experiments.scored import scorers
from keras_snn.hardness import random_subset

# The subset and the corruptions are one draw for every run: the official code
# of the paper draws its subset so.
DATA_SEED = 0


def at_random(trial, train, store):
    """The share `data_ratio` of the training images, drawn at random."""
    return random_subset(len(train.y), trial.data_ratio, DATA_SEED)


def at_random_in_classes(trial, train, store):
    """As `at_random`, or, if the trial says so, that share of each class."""
    labels = train.y if trial.class_balanced else None
    return random_subset(
        len(train.y), trial.data_ratio, DATA_SEED, labels=labels
    )


def unchanged(trial, images, part, store):
    """The images as they are."""
    return images


def plain(trial, model):
    """The model itself: `fit` trains it on what it is given."""
    return model


@dataclasses.dataclass(frozen=True)
class Kind(Row):
    """A kind of hard samples: what differs from training on ordinary ones.

    Attributes:
        label: Its name in titles of figures.
        choose: Called as `choose(trial, train, store)` with all training
            images; gives the rows of those to train on, ascending. Defaults to
            the share `data_ratio` at random.
        change: Called as `change(trial, images, part, store)`, with the uint8
            images of `part` 0 (training, all of them, so that the data ratio
            does not matter), 1 (validation) and 2 (test); gives images of the
            same shape. Defaults to none.
        relabel: Called as `relabel(trial, labels)` with the labels of all
            training images; gives those to train with. Those of validation and
            test stay. Defaults to none.
        trainer: Called as `trainer(trial, model)`; gives the model that `fit`
            trains. Defaults to the model itself.
        evaluate: Called as `evaluate(trial, trainer, test)`; gives a dict of
            accuracies in [0, 1] beside `clean_accuracy`, which is measured for
            every kind, named `<what>_accuracy`. Defaults to none.
        attack: Called as `attack(trial)`; gives the attack that test images go
            through, after which what the network says of them is kept, and its
            accuracy is `adversarial_accuracy`. Defaults to none.
        builds_on: Called as `builds_on(trial)`; gives the trials whose
            networks `choose` or `change` ask for, by `store.network(trial)`.
        attack_steps: Called with the trial: gradients by the image in each
            step of training, for counting FLOPs.
        callbacks: Called as `callbacks(trial, x, y, folder)` with the data to
            train on and the trial's folder, where they may keep files; gives
            callbacks for `fit`. Defaults to none.
        check: Called with each trial of the kind, as it is made; raises a
            ValueError if its options make no sense.

    Example:

    ```python
    def darkened(trial, images, part, store):
        return images // 4


    KINDS["dark"] = Kind("dark images", change=darkened)
    ```
    """

    label: str
    choose: Callable = at_random
    change: Callable = unchanged
    relabel: Callable = lambda trial, labels: labels
    trainer: Callable = plain
    evaluate: Callable = lambda trial, trainer, test: {}
    attack: Callable = lambda trial: None
    builds_on: Callable = lambda trial: []
    attack_steps: Callable = lambda trial: 0
    callbacks: Callable = lambda trial, x, y, folder: []
    check: Callable = lambda trial: None


def pgd(trial, steps, training=False):
    """PGD at the trial's radius, in steps of a quarter of it."""
    eps = trial.attack_eps
    return PGD(eps, eps / 4, steps, seed=trial.seed, training=training)


def adversarial(trial, model):
    """A model that trains on attacked images alone."""
    attack = pgd(trial, trial.attack_steps, trial.attack_training)
    return AdversarialModel(model, attack, name="adversarial")


KINDS = {
    "none": Kind(
        "ordinary samples",
        choose=at_random_in_classes,
        callbacks=recorders,
        check=check_record,
        fields=(),
        options={"class_balanced": False, **RECORD},
    ),
    **{
        name: Kind(
            f"subsets by {score.label}",
            choose=chosen,
            builds_on=scorers,
            check=check_choice,
            fields=("el2n_epoch", "el2n_models"),
            options=CHOICE,
        )
        for name, score in SCORES.items()
    },
    "label_noise": Kind(
        "wrong labels",
        relabel=relabelled,
        check=check_noise,
        fields=(),
        options=NOISE,
    ),
    "corruption": Kind(
        "common corruptions",
        change=corrupted,
        fields=("severity",),
        options={"corruptions": "mixed"},
    ),
    "adversarial": Kind(
        "adversarial training (PGD)",
        trainer=adversarial,
        attack=lambda trial: pgd(trial, trial.test_attack_steps),
        attack_steps=lambda trial: trial.attack_steps,
        fields=("attack_eps", "attack_steps", "test_attack_steps"),
        options={"attack_training": False},
    ),
}


def hard_data(trial, parts, store):
    """Training, validation and test images of a trial.

    Args:
        trial: The `Trial`.
        parts: Its data set: three `Split` of uint8 images.
        store: The `Store`, for what the images are made with.

    Returns:
        A list of three `Split` of uint8 images.
    """
    kind = KINDS[trial.hard]
    rows = kind.choose(trial, parts[0], store)
    changed = [
        Split(kind.change(trial, split.x, part, store), split.y)
        for part, split in enumerate(parts)
    ]
    images, labels = changed[0].x, kind.relabel(trial, parts[0].y)
    return [Split(images[rows], labels[rows]), *changed[1:]]
