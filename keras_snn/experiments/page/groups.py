"""The trials of a page by setting, method and sparsity."""

from typing import NamedTuple

from keras_snn.experiments.grouping import Series
from keras_snn.experiments.grouping import panels
from keras_snn.experiments.grouping import series
from keras_snn.experiments.page.markup import paragraph


class Group(NamedTuple):
    """What networks of one method and sparsity say of the test images.

    Attributes:
        line: The `Series` of the method.
        sparsity: That was asked for.
        rows: Their rows.
        answers: Dict of seed to `Answers`.
    """

    line: Series
    sparsity: float
    rows: list
    answers: dict

    @property
    def dense(self):
        """Whether nothing of them is sparse."""
        return self.line.method == "dense"

    @property
    def name(self):
        """The method, and its sparsity if it has one."""
        label = self.line.label
        return label if self.dense else f"{label} {self.sparsity:g}"


def lines(found):
    """Of each trial that is done: its setting, its `Series`, and its row."""
    for setting, rows in panels(found.rows).items():
        for line in series(rows):
            for group in line.by_sparsity().values():
                yield from ((setting, line, row) for row in group)


def by_setting(found, answers):
    """A dict of setting to a list of `Group`.

    Args:
        found: A `Found`.
        answers: Dict of a trial's key to `Answers`; others are left out.
    """
    settings = {}
    for setting, line, row in lines(found):
        if row["trial"] in answers:
            groups = settings.setdefault(setting, {})
            place = (line.label, row["requested_sparsity"])
            group = groups.setdefault(place, Group(line, place[1], [], {}))
            group.rows.append(row)
            group.answers[row["seed"]] = answers[row["trial"]]
    return {s: list(groups.values()) for s, groups in settings.items()}


def unanswered(rows, answers):
    """Says of how many of some rows predictions are missing."""
    missing = [row for row in rows if row["trial"] not in answers]
    if missing:
        yield paragraph(
            f"{len(missing)} of {len(rows)} networks have no kept "
            "predictions in the store, and are not in this section."
        )
