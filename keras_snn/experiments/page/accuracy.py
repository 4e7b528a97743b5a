"""Which test images networks classify rightly: by class, by hardness."""

import numpy as np

from keras_snn.evaluation import accuracy_by_class
from keras_snn.evaluation import accuracy_by_hardness
from keras_snn.experiments.page.groups import by_setting
from keras_snn.experiments.page.groups import unanswered
from keras_snn.experiments.page.markup import paragraph
from keras_snn.experiments.page.markup import table

GROUPS = 10


def by_class(found):
    """Where each method is right: a table of classes for each setting."""
    for setting, groups in by_setting(found, found.answers).items():
        columns = {
            group.name: np.mean(
                [
                    accuracy_by_class(_certain(a), a.y)
                    for a in group.answers.values()
                ],
                axis=0,
            )
            for group in groups
        }
        count = max(map(len, columns.values()))
        yield table(
            [
                {"Class": str(number)}
                | {n: float(values[number]) for n, values in columns.items()}
                for number in range(count)
            ],
            caption=f"{setting}: mean over seeds",
            heat=True,
        )
    yield from unanswered(found.done, found.answers)


def by_hardness(found):
    """Accuracy from the easiest to the hardest test images.

    How hard an image is for a network is judged by the dense networks of other
    seeds of its setting: the mean of EL2N, by the predictions they kept.
    """
    tables_of, few = [], []
    for setting, groups in by_setting(found, found.answers).items():
        errors = {
            seed: a.error
            for group in groups
            if group.dense
            for seed, a in group.answers.items()
        }
        rows = [
            {"Method": group.name} | _quantiles(group.answers, errors)
            for group in groups
        ]
        if all(len(row) > 1 for row in rows):
            tables_of.append(table(rows, caption=setting, heat=True))
        else:
            few.append(setting)
    if tables_of:
        yield paragraph(
            "Test images from the easiest (1) to the hardest, in groups of "
            "equal size. How hard an image is for a network is judged by the "
            "dense ones of other seeds: by the mean error (EL2N) of the "
            "trained networks. Means over seeds."
        )
    yield from tables_of
    if few:
        yield paragraph(
            "Dense networks of other seeds must have kept predictions, or "
            f"networks are measured by themselves. Not so: {'; '.join(few)}."
        )
    yield from unanswered(found.done, found.answers)


def _quantiles(answers, errors):
    """Mean accuracy by group, with errors of the dense networks by seed."""
    found = []
    for seed, a in answers.items():
        others = [error for s, error in errors.items() if s != seed]
        if others:
            groups = min(GROUPS, len(a.y))
            scores = np.mean(others, axis=0)
            found.append(accuracy_by_hardness(_certain(a), a.y, scores, groups))
    if not found:
        return {}
    return {
        str(number + 1): float(value)
        for number, value in enumerate(np.mean(found, axis=0))
    }


def _certain(answers):
    """Predicted classes as the probabilities that evaluation takes."""
    return np.eye(answers.classes)[answers.predicted]
