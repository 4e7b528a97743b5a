import copy
import dataclasses
import pickle

import numpy as np
import pytest

from keras_snn.experiments import KINDS
from keras_snn.experiments import METHODS
from keras_snn.experiments import Trial
from keras_snn.experiments.devices import check_batches
from keras_snn.experiments.registry import claimed
from keras_snn.experiments.scored import scorers

pytestmark = pytest.mark.once


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
    "equal_steps": True,
    "hold_out": True,
    "width": 0.5,
    "seed": 1,
    "epochs": 2,
    "batch_size": 2,
    "learning_rate": 0.2,
    "milestones": (0.5,),
    "weight_decay": 0.0,
    "nesterov": True,
    "precision": "mixed_bfloat16",
    "compute": "sparse",
    "interval": 2,
    "augment": False,
    "rotation": 15.0,
    "attack_eps": 0.1,
    "attack_steps": 2,
    "test_attack_steps": 2,
    "severity": 2,
    "el2n_epoch": 2,
    "el2n_models": 2,
    "options": {},
}


def test_every_field_is_changed():
    assert set(CHANGES) == {f.name for f in dataclasses.fields(Trial)}


@pytest.mark.parametrize("hard", list(KINDS))
@pytest.mark.parametrize("method", ["dense", "snip", "set"])
def test_key_tells_the_fields_apart_that_matter(hard, method):
    this = {"hard": hard, "method": method, "data_ratio": 0.4}
    ignored = claimed(KINDS) - set(KINDS[hard].fields)
    ignored |= claimed(METHODS) - set(METHODS[method].fields)
    ignored |= {"options"} | ({"sparsity"} if method == "dense" else set())
    for name, value in CHANGES.items():
        if this.get(name) == value:
            continue
        other = trial(**{**this, name: value})
        assert (other.key != trial(**this).key) == (name not in ignored), name


def test_key_is_the_same_in_every_process_and_version():
    assert trial().key == "set-0.9-seed0-1c3104547314"
    full = trial(epochs=200, data_ratio=1, seed=np.int64(0), width=True + 0)
    assert full.key == trial().key
    options = {"attack_training": True, "snip_ratios_only": True}
    other = trial(options=options, sparsity=np.float64(0.9), milestones=[0.5])
    assert other.key == "set-0.9-seed0-2c7f2be29fc7"
    assert other.content == {
        "method": "set",
        "sparsity": 0.9,
        "dataset": "digits",
        "model": "vgg16",
        "hard": "adversarial",
        "milestones": (0.5,),
        "attack_training": True,  # Of SNIP's own there is nothing.
    }


def test_options_are_attributes_with_their_defaults():
    assert trial().attack_training is False
    given = trial(options={"attack_training": 1})
    assert given.attack_training is True
    assert trial(options={"attack_training": False}) == trial()
    assert trial(method="gmp").gmp_begin == 0.1
    with pytest.raises(AttributeError, match="gmp_begin"):
        _ = trial(method="set").gmp_begin
    for same in (pickle.loads(pickle.dumps(given)), copy.deepcopy(given)):
        assert same == given and same.attack_training
    assert given.dense.attack_training
    assert dataclasses.replace(given, epochs=2).attack_training
    with pytest.raises(ValueError, match="'atack_training'; did you mean 'at"):
        trial(options={"atack_training": True})


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
        scorers(trial(method=m, sparsity=s, data_ratio=r, seed=d, **hard))
        for m, s, r, d in [("set", 0.9, 0.3, 1), ("gmp", 0.5, 1, 0)]
    ]
    assert scoring[0] == scoring[1]
    assert [t.seed for t in scoring[0]] == [0, 1]
    assert {(t.epochs, t.method, t.hard) for t in scoring[0]} == {
        (3, "dense", "none")
    }
    this = trial(method="omp", **hard)
    assert this.builds_on == [*scorers(this), this.dense]


def test_what_is_not_sparse_from_the_first_step_on_computes_masked():
    for same in (
        {"sparsity": 0.6},
        {"method": "gmp"},
        {"method": "dense"},
    ):
        assert trial(compute="sparse", **same) == trial(**same)
    assert trial(compute="sparse").key != trial().key
    with pytest.raises(ValueError, match="compute='fast'"):
        trial(compute="fast", sparsity=0.5)
    with pytest.raises(ValueError, match="on one CPU.*compute='sparse', 2 de"):
        check_batches(2, [trial(compute="sparse")])


def test_steps_as_of_all_the_data():
    this = trial(data_ratio=0.3, equal_steps=True)
    same = this.scheduled(15_000)
    assert (same.epochs, same.interval) == (663, 13)
    assert -(-15_000 // 128) * 663 == pytest.approx(200 * 391, abs=60)
    assert not same.equal_steps and same.milestones == this.milestones
    assert trial(data_ratio=0.3).scheduled(15_000).epochs == 200
    assert this.dense.equal_steps
    # Of all the data they are the same trial.
    assert trial(equal_steps=True).key == trial().key


def test_controls_of_a_subset_are_their_own_trials():
    shares = {"hard": "el2n", "data_ratio": 0.3}
    controls = [
        trial(**shares),
        trial(**shares, options={"subset": "easiest"}),
        trial(**shares, options={"class_balanced": True}),
        trial(hard="none", data_ratio=0.3),
        trial(hard="none", data_ratio=0.3, options={"class_balanced": True}),
        trial(**{**shares, "hard": "aum"}),
    ]
    assert len({each.key for each in controls}) == len(controls)
    # The same networks score them.
    assert len({each.builds_on[0] for each in controls[:3]}) == 1
    assert trial(hard="none", options={"subset": "easiest"}) == trial(
        hard="none"
    )


def test_networks_that_score_are_those_that_the_score_needs():
    hard = {"el2n_epoch": 10, "el2n_models": 2}
    (first, second) = scorers(trial(hard="aum", **hard))
    assert (first.seed, second.seed) == (0, 1)
    assert first.record == "aum" and first.hard == "none"
    assert [(t.seed, t.epochs) for t in scorers(trial(hard="vog", **hard))] == [
        (seed, epoch) for seed in (0, 1) for epoch in (4, 7, 10)
    ]
    of_networks = {"el2n", "grand", "loss", "margin", "prediction_depth"}
    assert (
        len({tuple(scorers(trial(hard=h, **hard))) for h in of_networks}) == 1
    )


def test_options_of_kinds_that_make_no_sense():
    for hard, options, says in (
        ("el2n", {"subset": "middle"}, "`subset`.*'middle'"),
        ("none", {"record": "el2n"}, "`record`.*'el2n'"),
        ("label_noise", {"noise": "uniform"}, "`noise`.*'uniform'"),
        ("label_noise", {"noise_rate": 1.5}, "`noise_rate`.*1.5"),
        ("label_noise", {"noise": "file"}, "`noise_file`"),
        ("label_noise", {"noise_file": "a.npy"}, "`noise_file`"),
    ):
        with pytest.raises(ValueError, match=says):
            trial(hard=hard, options=options)
    with pytest.raises(ValueError, match="cifar10.*Received.*tiny_imagenet"):
        trial(
            hard="label_noise",
            dataset="tiny_imagenet",
            options={"noise": "asymmetric"},
        )
    with pytest.raises(ValueError, match="`el2n_epoch` must be at least 2"):
        trial(hard="vog", el2n_epoch=1)


@pytest.mark.parametrize("options", [{"gmp_begin": 0.8}, {"gmp_end": 0.0}])
def test_gmp_begins_before_it_ends(options):
    with pytest.raises(ValueError, match="must be less.*Received: gmp_begin="):
        trial(method="gmp", options=options)
    assert trial(method="set", options=options) == trial()


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
        ("rotation", 181),
        ("precision", "float8"),
        ("seed", "0"),
        ("seed", True),
        ("epochs", 1.5),
        ("augment", 2),
        ("width", float("nan")),
        ("milestones", "half"),
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
