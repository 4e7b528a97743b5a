import numpy as np
import pytest

from keras_snn.hardness import CLASS_MAPS
from keras_snn.hardness import asymmetric_noise
from keras_snn.hardness import mislabelled
from keras_snn.hardness import read_labels
from keras_snn.hardness import symmetric_noise

pytestmark = pytest.mark.once

Y = np.random.default_rng(0).integers(0, 10, 1000)


def test_symmetric_noise_is_any_other_class_equally():
    noisy = symmetric_noise(Y, 0.5, 10)
    wrong = noisy != Y
    assert wrong.sum() == 500
    shifts = np.bincount((noisy - Y)[wrong] % 10, minlength=10)
    assert shifts[0] == 0 and shifts[1:].min() > 30
    less = symmetric_noise(Y, 0.2, 10)
    assert np.array_equal(less[less != Y], noisy[less != Y])
    assert not np.array_equal(symmetric_noise(Y, 0.5, 10, seed=1), noisy)
    assert symmetric_noise(Y, 0.0, 10).tolist() == Y.tolist()
    assert (symmetric_noise(Y, 1.0, 10) != Y).all()


@pytest.mark.parametrize("name", list(CLASS_MAPS))
def test_asymmetric_noise_follows_the_map(name):
    class_map = CLASS_MAPS[name]
    y = np.repeat(np.arange(100 if name == "cifar100" else 10), 20)
    noisy = asymmetric_noise(y, 0.4, class_map)
    for label in np.unique(y):
        mine = noisy[y == label]
        changed = 8 if label in class_map else 0
        assert (mine != label).sum() == changed
        assert set(mine) <= {label, class_map.get(label)}


def test_classes_of_cifar100_stay_in_their_superclass():
    class_map = CLASS_MAPS["cifar100"]
    assert sorted(class_map) == sorted(class_map.values()) == list(range(100))
    label, round_trip = 0, []
    for _ in range(5):
        round_trip.append(label)
        label = class_map[label]
    # Apple, mushroom, orange, pear, sweet pepper.
    assert label == 0 and round_trip == [0, 51, 53, 57, 83]


def test_labels_in_files(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    assert read_labels(tmp_path / "y.npy").tolist() == Y.tolist()
    table = "clean_label,worse_label\n1,2\n3,4\n"
    (tmp_path / "y.csv").write_text(table)
    assert read_labels(tmp_path / "y.csv", "worse_label").tolist() == [2, 4]
    torch = pytest.importorskip("torch")
    arrays = {"clean_label": Y, "worse_label": Y[::-1].copy()}
    torch.save(arrays, tmp_path / "y.pt")
    found = read_labels(tmp_path / "y.pt", "worse_label")
    assert found.tolist() == Y[::-1].tolist()


def test_files_that_hold_no_labels(tmp_path):
    np.save(tmp_path / "floats.npy", Y / 2)
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "y.csv").write_text("label\nfour\n")
    (tmp_path / "y.pt").write_bytes(b"nothing")
    (tmp_path / "y.txt").write_text("1")
    for name, column in (
        ("floats.npy", ""),
        ("objects.npy", ""),
        ("y.csv", "label"),
        ("y.csv", "other"),
        ("y.pt", "label"),
        ("y.txt", ""),
    ):
        with pytest.raises(ValueError, match=name):
            read_labels(tmp_path / name, column)
    with pytest.raises(FileNotFoundError):
        read_labels(tmp_path / "none.npy")


def test_bad_arguments():
    for call, says in (
        (lambda: symmetric_noise(Y, 1.1, 10), "`rate`"),
        (lambda: symmetric_noise(Y, 0.1, 1), "`classes`"),
        (lambda: symmetric_noise(Y / 2, 0.1, 10), "`y`"),
        (lambda: asymmetric_noise(Y, 0.1, {}, seed=-1), "`seed`"),
    ):
        with pytest.raises(ValueError, match=f"{says}.*Received"):
            call()


def test_wrong_labels_are_told_from_hard_samples():
    pytest.importorskip("cleanlab")
    random = np.random.default_rng(0)
    true = np.arange(600) % 3
    given = true.copy()
    wrong, hard = np.arange(30), np.arange(30, 90)
    given[wrong] = (true[wrong] + 1) % 3
    # Sure of all but the hard samples, of which it is unsure.
    probabilities = np.full((600, 3), 0.04) + 0.88 * np.eye(3)[true]
    probabilities[hard] = np.full(3, 0.3) + 0.1 * np.eye(3)[true[hard]]
    probabilities += random.uniform(0, 0.02, probabilities.shape)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = mislabelled(probabilities, given)
    assert np.flatnonzero(found).tolist() == wrong.tolist()
    with pytest.raises(ValueError, match="every class must occur"):
        mislabelled(probabilities, np.zeros(600, int))
    with pytest.raises(ValueError, match="sum 1"):
        mislabelled(2 * probabilities, given)
