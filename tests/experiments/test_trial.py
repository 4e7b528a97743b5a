import dataclasses

import pytest

from keras_snn.experiments import Trial
from keras_snn.experiments.trial import OWN_FIELDS

pytestmark = pytest.mark.numpy


def trial(**changes):
    fields = {
        "method": "set",
        "sparsity": 0.9,
        "dataset": "digits",
        "model": "vgg16",
        "hard": "adversarial",
    }
    return Trial(**{**fields, **changes})


CHANGES = {
    "method": "gmp",
    "sparsity": 0.8,
    "dataset": "cifar10",
    "model": "resnet18",
    "hard": "none",
    "data_ratio": 0.5,
    "width": 0.5,
    "seed": 1,
    "epochs": 2,
    "batch_size": 2,
    "learning_rate": 0.2,
    "milestones": (0.5,),
    "weight_decay": 0.0,
    "nesterov": True,
    "interval": 2,
    "augment": False,
    "attack_eps": 0.1,
    "attack_steps": 2,
    "test_attack_steps": 2,
    "severity": 2,
    "el2n_epoch": 2,
    "el2n_models": 2,
}


def test_every_field_is_changed():
    assert set(CHANGES) == {f.name for f in dataclasses.fields(Trial)}


@pytest.mark.parametrize("hard", ["none", "el2n", "corruption", "adversarial"])
def test_key_tells_the_fields_apart_that_matter(hard):
    for name, value in CHANGES.items():
        if name == "hard" and value == hard:
            continue
        matters = OWN_FIELDS.get(name, hard) == hard
        other = trial(**{"hard": hard, name: value})
        assert (other.key != trial(hard=hard).key) == matters, name


def test_key_is_the_same_in_every_process():
    assert trial().key == trial().key
    assert trial().key.startswith("set-0.9-seed0-")
    assert trial(epochs=200).key == trial().key


def test_all_methods_share_one_dense_trial():
    shared = {
        trial(method=m, sparsity=s, interval=i).dense
        for m, s, i in [("lth", 0.9, 1), ("omp", 0.5, 4), ("omp_erk", 0.8, 2)]
    }
    assert shared == {trial(method="dense")}
    assert shared.pop().sparsity == 0.0


def test_all_trials_share_the_networks_that_score_the_samples():
    hard = {"hard": "el2n", "el2n_models": 2, "el2n_epoch": 3}
    scoring = [
        trial(method=m, sparsity=s, data_ratio=r, seed=d, epochs=e, **hard)
        for m, s, r, d, e in [("set", 0.9, 0.3, 1, 9), ("gmp", 0.5, 1, 0, 5)]
    ]
    assert scoring[0].scoring == scoring[1].scoring
    assert [t.seed for t in scoring[0].scoring] == [0, 1]
    assert {(t.epochs, t.method, t.hard) for t in scoring[0].scoring} == {
        (3, "dense", "none")
    }


def test_a_trial_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        trial().sparsity = 0.5


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("method", "sets"),
        ("dataset", "mnist"),
        ("model", "vgg"),
        ("sparsity", 1.0),
        ("data_ratio", 0.0),
        ("data_ratio", 1.5),
        ("width", 0),
        ("seed", -1),
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("interval", 0),
        ("hard", "hardest"),
        ("milestones", (1.0,)),
        ("attack_eps", 8),
        ("attack_steps", 0),
        ("test_attack_steps", 0),
    ],
)
def test_bad_fields(field, bad):
    with pytest.raises(ValueError, match=f"`{field}`.*Received"):
        trial(**{field: bad})


@pytest.mark.parametrize(
    ("hard", "field", "bad"),
    [
        ("corruption", "severity", 7),
        ("el2n", "el2n_epoch", 0),
        ("el2n", "el2n_models", 0),
    ],
)
def test_bad_fields_of_other_kinds(hard, field, bad):
    with pytest.raises(ValueError, match=f"`{field}`.*Received"):
        trial(**{"hard": hard, field: bad})
