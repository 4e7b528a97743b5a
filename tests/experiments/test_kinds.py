import types

import keras
import numpy as np
import pytest

import keras_snn
from keras_snn.corruptions import corrupt
from keras_snn.datasets import Split
from keras_snn.experiments import KINDS
from keras_snn.experiments import METHODS
from keras_snn.experiments import Trial
from keras_snn.experiments.corrupted import SETS
from keras_snn.experiments.kinds import hard_data
from keras_snn.experiments.store import Store
from keras_snn.experiments.training import train
from keras_snn.hardness import random_subset

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), "uint8")
PARTS = [
    Split(IMAGES[:25], np.arange(25)),
    Split(IMAGES[25:25], np.arange(0)),
    Split(IMAGES[25:], np.arange(15)),
]


def trial(**changes):
    fields = {
        "method": "set",
        "sparsity": 0.5,
        "dataset": "digits",
        "model": "vgg16",
    }
    return Trial(**{**fields, **changes})


def test_an_image_is_corrupted_the_same_at_every_ratio(tmp_path):
    store = Store(tmp_path)
    whole = corrupt(PARTS[0].x, "mixed", 3, seed=0)
    for ratio in (1.0, 0.6, 0.2):
        this = trial(hard="corruption", severity=3, data_ratio=ratio)
        train, validation, test = hard_data(this, PARTS, store)
        rows = random_subset(25, ratio, 0)
        assert np.array_equal(train.y, rows)
        assert np.array_equal(train.x, whole[rows])
        assert validation.x.shape == (0, 32, 32, 3)
        assert np.array_equal(test.x, corrupt(PARTS[2].x, "mixed", 3, seed=2))
    assert len(list((tmp_path / "corrupted").glob("*"))) == 2


@pytest.mark.parametrize("name", ["lff0", "lff1"])
def test_the_ten_corruptions_of_the_official_codes_data(tmp_path, name):
    this = trial(hard="corruption", options={"corruptions": name})
    train, _, test = hard_data(this, PARTS, Store(tmp_path))
    used = set()
    for part, split in ((0, train), (2, test)):
        for row, image in enumerate(split.x):
            original = PARTS[part].x[row]
            of_ten = [
                kind
                for kind in SETS[name]
                if np.array_equal(
                    image,
                    original
                    if kind == "original"
                    else corrupt(original[None], kind, 5, seed=part, ids=[row])[
                        0
                    ],
                )
            ]
            assert of_ten
            used.update(of_ten)
    assert len(used) >= 8


def test_one_corruption_or_none_that_is_known(tmp_path):
    this = trial(hard="corruption", options={"corruptions": "contrast"})
    train = hard_data(this, PARTS, Store(tmp_path))[0]
    assert np.array_equal(train.x, corrupt(PARTS[0].x, "contrast", 5, seed=0))
    this = trial(hard="corruption", options={"corruptions": "rain"})
    with pytest.raises(ValueError, match="`corruptions` must be one of.*rain"):
        hard_data(this, PARTS, Store(tmp_path))


def test_the_attack_of_training_runs_in_inference_mode_unless_told():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    for training in (False, True):
        this = trial(hard="adversarial", options={"attack_training": training})
        attack = KINDS["adversarial"].trainer(this, model).attack
        assert attack.training is training
        assert (attack.steps, attack.eps) == (10, pytest.approx(8 / 255))
        assert attack.step_size == pytest.approx(2 / 255)


@pytest.mark.parametrize(("dataset", "flip"), [("cifar100", 1), ("digits", 0)])
def test_what_augments_the_images_of_a_trial(monkeypatch, dataset, flip):
    seen = []
    monkeypatch.setattr(
        "keras_snn.datasets.augmented", lambda *_, **given: seen.append(given)
    )
    nothing = types.SimpleNamespace(
        fit=lambda *_, **given: seen.append(given), resume=lambda trainer: 1
    )
    for fields, crop in (
        ({"rotation": 15}, 4),
        ({"rotation": 0, "augment": False}, 0),
    ):
        this = trial(dataset=dataset, **fields)
        train(this, nothing, PARTS, None, nothing)
        given, fitted = seen[-2:]
        assert given["rotation"] == fields["rotation"]
        assert given["crop"] == crop
        assert given["flip"] == (flip and crop > 0)
        # With nothing held out nothing is looked at during training.
        assert fitted["validation_data"] is None


class Spy:
    """Records what a function is called with."""

    def __init__(self, monkeypatch, name):
        monkeypatch.setattr(f"keras_snn.experiments.methods.{name}", self)

    def __call__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


def test_the_official_codes_ways_reach_the_methods(monkeypatch):
    spy = Spy(monkeypatch, "DuringTraining")
    monkeypatch.setattr(
        "keras_snn.experiments.methods.GMPUpdate", lambda schedule: schedule
    )
    for options, begin, end in (
        ({}, 0.1, 0.8),
        ({"gmp_begin": 0.0, "gmp_end": 0.7}, 0.0, 0.7),
    ):
        METHODS["gmp"].callbacks(
            trial(method="gmp", options=options), None, None
        )
        assert (spy.kwargs["begin"], spy.kwargs["end"]) == (begin, end)
    spy = Spy(monkeypatch, "snip")
    for ratios_only in (False, True):
        this = trial(method="snip", options={"snip_ratios_only": ratios_only})
        METHODS["snip"].prune("model", this, "x", "y", None)
        assert spy.kwargs["ratios_only"] is ratios_only
        assert METHODS["snip"].batch(this) == 128


@pytest.mark.parametrize("drawn", [False, True])
def test_omp_erk_by_magnitude_or_at_random(drawn):
    rng = np.random.default_rng(0)
    shapes = ((20, 30), (30,), (30, 10), (10,))
    weights = [rng.normal(size=shape) for shape in shapes]
    this = trial(
        method="omp_erk", sparsity=0.8, options={"omp_erk_random": drawn}
    )
    model = keras_snn.sparsify(network(), 0.0)
    METHODS["omp_erk"].prune(model, this, None, None, weights)
    random = keras_snn.get_masks(keras_snn.sparsify(network(), 0.8, seed=0))
    for path, mask in keras_snn.get_masks(model).items():
        assert mask.sum() == random[path].sum()
        size = np.abs(weights[0 if path.startswith("a") else 2])
        largest = size >= np.sort(size, axis=None)[-mask.sum()]
        assert np.array_equal(mask, random[path] if drawn else largest)


def network():
    return keras.Sequential(
        [
            keras.Input((20,)),
            keras.layers.Dense(30, name="a"),
            keras.layers.Dense(10, name="b"),
        ]
    )
