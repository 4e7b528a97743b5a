import math

import hypothesis
import pytest
from hypothesis import strategies

from keras_snn.experiments.grid import trials
from keras_snn.experiments.trial import TYPES
from keras_snn.experiments.trial import all_options

pytestmark = pytest.mark.once
BASE = {
    "method": ["dense", "set", "snip"],
    "sparsity": [0.5, 0.9],
    "dataset": "digits",
    "model": "vgg16",
}


def test_a_grid_has_each_trial_once_and_something_of_all_early():
    grid = trials({**BASE, "seeds": [0, 1], "epochs": [1, 2]})
    assert len(grid) == 2 * 2 * (1 + 2 * 2)
    first = grid[: len(grid) // 2]
    assert {t.seed for t in first} == {0}
    assert [t.method for t in grid[:3]] == ["dense", "set", "snip"]


def test_options_and_tuples_span_too():
    grid = trials({**BASE, "method": "snip", "snip_ratios_only": [False, True]})
    assert {t.snip_ratios_only for t in grid} == {False, True}
    one = trials({**BASE, "milestones": [0.5, 0.75]})
    assert {t.milestones for t in one} == {(0.5, 0.75)}
    two = trials({**BASE, "milestones": [[0.5], []]})
    assert {t.milestones for t in two} == {(0.5,), ()}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"epoch": 3}, "'epoch'; did you mean 'epochs'"),
        ({"snip_ratio_only": True}, "did you mean 'snip_ratios_only'"),
        ({"method": ["dense", "sett"]}, "`method` must be one of"),
        ({"sparsity": ["0.5"]}, "`sparsity` must be of type float"),
        ({"attack_training": 3}, "`attack_training` must be of type bool"),
    ],
)
def test_what_is_misspelt_is_an_error(fields, says):
    with pytest.raises(ValueError, match=says):
        trials({**BASE, **fields})


def test_what_every_trial_needs_is_missed():
    with pytest.raises(ValueError, match=r"no \['dataset', 'model'\]"):
        trials({"method": "set", "sparsity": 0.5})


# Where a field matters: elsewhere it is dropped.
WHERE = {
    "attack": {"hard": "adversarial"},
    "test_attack": {"hard": "adversarial"},
    "severity": {"hard": "corruption"},
    "el2n": {"hard": "el2n"},
    "noise_rate": {"hard": "label_noise"},
    "snip": {"method": "snip"},
    "gmp": {"method": "gmp"},
}
KINDS_OF = TYPES | {name: type(v) for name, v in all_options().items()}
NUMERIC = sorted(
    name for name, kind in KINDS_OF.items() if kind in (int, float)
)
ABSURD = [1e20, -1e20, 1e308, 2**70, -1, math.nan, math.inf, "1", [], [1e40]]


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(
    strategies.sampled_from(NUMERIC), strategies.sampled_from(ABSURD)
)
def test_no_number_may_be_absurd(name, value):
    where = [more for prefix, more in WHERE.items() if name.startswith(prefix)]
    fields = {**BASE, **(where[0] if where else {}), name: value}
    allowed = name == "learning_rate" and value in (1e20, 2**70)
    if allowed or (name == "weight_decay" and value in (1e20, 2**70)):
        return  # A training that comes to nothing is a failure that is kept.
    with pytest.raises(ValueError, match=f"`{name}`[^\n]*Received") as raised:
        trials(fields)
    assert "\n" not in str(raised.value)
