"""What makes samples hard, a row each. One of your own is one line:

KINDS["dark"] = Kind("dark images", change=darkened)

"Are Sparse Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196, has adversarial training, common corruptions,
and the samples of the highest EL2N.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.attacks import adversarial_accuracy
from keras_snn.datasets import Split
from keras_snn.experiments.corrupted import corrupted
from keras_snn.experiments.registry import Row
from keras_snn.experiments.scored import scorers
from keras_snn.experiments.scored import scores
from keras_snn.hardness import hardest
from keras_snn.hardness import random_subset

# The subset and the corruptions are one draw for every run: the official code
# of the paper draws its subset so.
DATA_SEED = 0


def at_random(trial, train, store):
    """The share `data_ratio` of the training images, drawn at random."""
    return random_subset(len(train.y), trial.data_ratio, DATA_SEED)


def unchanged(trial, images, part, store):
    """The images as they are."""
    return images


def plain(trial, model):
    """The model itself: `fit` trains it on what it is given."""
    return model


def clean_accuracy(trial, trainer, test):
    """The share of the test images that are classified rightly."""
    logits = trainer.predict(test.x, batch_size=256, verbose=0)
    if not np.isfinite(logits).all():
        raise FloatingPointError(
            "Logits must be finite, or the network classifies nothing. "
            f"Received: {np.count_nonzero(~np.isfinite(logits))} that are not"
        )
    return {"clean_accuracy": float((logits.argmax(1) == test.y).mean())}


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
        trainer: Called as `trainer(trial, model)`; gives the model that `fit`
            trains. Defaults to the model itself.
        evaluate: Called as `evaluate(trial, trainer, test)`; gives a dict of
            accuracies in [0, 1], named `<what>_accuracy`, `clean_accuracy`
            among them. Defaults to that alone.
        builds_on: Called as `builds_on(trial)`; gives the trials whose
            networks `choose` or `change` ask for, by `store.network(trial)`.
        attack_steps: Called with the trial: gradients by the image in each
            step of training, for counting FLOPs.
    """

    label: str
    choose: Callable = at_random
    change: Callable = unchanged
    trainer: Callable = plain
    evaluate: Callable = clean_accuracy
    builds_on: Callable = lambda trial: []
    attack_steps: Callable = lambda trial: 0


def pgd(trial, steps, training=False):
    """PGD at the trial's radius, in steps of a quarter of it."""
    eps = trial.attack_eps
    return PGD(eps, eps / 4, steps, seed=trial.seed, training=training)


def adversarial(trial, model):
    """A model that trains on attacked images alone."""
    attack = pgd(trial, trial.attack_steps, trial.attack_training)
    return AdversarialModel(model, attack, name="adversarial")


def attacked_accuracy(trial, trainer, test):
    """Accuracy on the test images, clean and attacked."""
    attack = pgd(trial, trial.test_attack_steps)
    return clean_accuracy(trial, trainer, test) | {
        "adversarial_accuracy": adversarial_accuracy(trainer, attack, *test)
    }


def of_highest_score(trial, train, store):
    """The share `data_ratio` of the training images of the highest EL2N."""
    return np.sort(hardest(scores(trial, train, store), trial.data_ratio))


KINDS = {
    "none": Kind("ordinary samples", fields=()),
    "el2n": Kind(
        "hardest samples by EL2N",
        choose=of_highest_score,
        builds_on=scorers,
        fields=("el2n_epoch", "el2n_models"),
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
        evaluate=attacked_accuracy,
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
    train = changed[0]
    return [Split(train.x[rows], train.y[rows]), *changed[1:]]
