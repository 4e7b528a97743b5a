import dataclasses

import pytest

from keras_snn.experiments import Trial

pytestmark = pytest.mark.numpy


def trial(**changes):
    fields = {
        "method": "set",
        "sparsity": 0.9,
        "dataset": "digits",
        "model": "vgg16",
    }
    return Trial(**{**fields, **changes})


def test_key_tells_every_field_apart():
    changes = {
        "method": "gmp",
        "sparsity": 0.8,
        "dataset": "cifar10",
        "model": "resnet18",
        "data_ratio": 0.5,
        "width": 0.5,
        "seed": 1,
        "epochs": 2,
        "batch_size": 2,
        "learning_rate": 0.2,
        "weight_decay": 0.0,
        "nesterov": True,
        "interval": 2,
        "augment": False,
        "attack_eps": 0.1,
        "attack_steps": 2,
        "test_attack_steps": 2,
    }
    assert set(changes) == {f.name for f in dataclasses.fields(Trial)}
    keys = {trial(**{name: value}).key for name, value in changes.items()}
    assert len(keys | {trial().key}) == len(changes) + 1


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
        ("attack_eps", 8),
        ("attack_steps", 0),
        ("test_attack_steps", 0),
    ],
)
def test_bad_fields(field, bad):
    with pytest.raises(ValueError, match=f"`{field}`.*Received"):
        trial(**{field: bad})
