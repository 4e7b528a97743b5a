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
from keras_snn.experiments.scored import SCORES
from keras_snn.experiments.store import Store
from keras_snn.experiments.training import train
from keras_snn.hardness import Scores
from keras_snn.hardness import random_subset

pytestmark = pytest.mark.once
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
        fit=lambda *_, **given: seen.append(given),
        rows=[{}],
        folder=None,
    )
    for fields, crop in (
        ({"rotation": 15}, 4),
        ({"rotation": 0, "augment": False}, 0),
    ):
        this = trial(dataset=dataset, **fields)
        train(this, nothing, PARTS, nothing)
        given, fitted = seen[-2:]
        assert given["rotation"] == fields["rotation"]
        assert given["crop"] == crop
        assert given["flip"] == (flip and crop > 0)
        # With nothing held out nothing is looked at during training.
        assert fitted["validation_data"] is None


class Networks:
    """A store of a network for each trial that scores, on 40 images."""

    def __init__(self, folder):
        self.folder = folder
        self.given = {}

    def fingerprint(self, trial):
        return "0" * 64

    def network(self, trial):
        if trial not in self.given:
            self.given[trial] = keras.Sequential(
                [
                    keras.Input((32, 32, 3)),
                    keras.layers.GlobalAveragePooling2D(),
                    keras.layers.Dense(6, "relu"),
                    keras.layers.ReLU(),
                    keras.layers.Dense(10),
                ]
            )
        return self.given[trial]


@pytest.mark.parametrize(
    "hard", [name for name, score in SCORES.items() if not score.record]
)
def test_every_score_chooses_the_hardest_and_the_easiest(tmp_path, hard):
    labels = np.arange(40) % 10
    parts = [Split(IMAGES, labels), *PARTS[1:]]
    found = {}
    store = Networks(tmp_path)
    for subset in ("hardest", "easiest"):
        this = trial(
            hard=hard, data_ratio=0.5, options={"subset": subset}, el2n_epoch=3
        )
        found[subset] = hard_data(this, parts, store)[0]
    assert len(found["hardest"].y) == len(found["easiest"].y) == 20
    (path,) = (tmp_path / "scores").glob(f"{hard}-*.npz")
    scores = Scores.load(path).values
    assert len(scores) == 40
    if hard != "prediction_depth":  # Of few values, of these networks.
        assert len(np.unique(scores)) > 2
    order = np.argsort(-scores, kind="stable")
    kept = IMAGES[np.sort(order[:20])]
    assert np.array_equal(found["hardest"].x, kept)


def test_a_balanced_subset_has_the_same_share_of_each_class(tmp_path):
    labels = np.repeat([0, 1, 2, 3], 10)
    parts = [Split(IMAGES, labels), *PARTS[1:]]
    balanced = {"class_balanced": True}
    for hard in ("none", "margin"):
        this = trial(hard=hard, data_ratio=0.5, options=balanced)
        train = hard_data(this, parts, Networks(tmp_path))[0]
        assert np.bincount(train.y).tolist() == [5, 5, 5, 5]
    # As many as at random, and not the same.
    random = hard_data(trial(data_ratio=0.5), parts, None)[0]
    assert len(random.y) == 20
    assert np.bincount(random.y).tolist() != [5, 5, 5, 5]


def test_labels_are_wrong_in_training_alone(tmp_path):
    clean = np.arange(40) % 10
    parts = [Split(IMAGES, clean), *PARTS[1:]]

    def noisy(ratio=1.0, **options):
        this = trial(hard="label_noise", data_ratio=ratio, options=options)
        train, _, test = hard_data(this, parts, None)
        assert np.array_equal(test.y, PARTS[2].y)
        rows = random_subset(40, ratio, 0)
        assert np.array_equal(train.x, IMAGES[rows])
        return train.y != clean[rows], train.y

    wrong, labels = noisy(noise_rate=0.5)
    assert wrong.sum() == 20
    part, _ = noisy(0.5, noise_rate=0.5)
    assert np.array_equal(part, wrong[random_subset(40, 0.5, 0)])
    wrong, labels = noisy(noise="asymmetric", noise_rate=0.5)
    assert set(zip(clean[wrong], labels[wrong], strict=True)) == {
        (2, 7),
        (3, 8),
        (5, 6),
        (6, 5),
        (7, 1),
    }
    assert wrong.sum() == 10
    path = tmp_path / "people.npy"
    np.save(path, (clean + 1) % 10)
    wrong, labels = noisy(noise="file", noise_file=str(path))
    assert wrong.all() and labels.dtype == clean.dtype
    np.save(path, clean[:-1])
    with pytest.raises(ValueError, match="each of the 40.*Received: 39"):
        noisy(noise="file", noise_file=str(path))


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
