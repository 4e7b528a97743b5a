import pytest

from keras_snn.experiments.grid import trials

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
