import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_snn.datasets.npz import KEYS
from keras_snn.datasets.npz import read_npz

pytestmark = pytest.mark.once
ARRAYS = {
    key: np.random.default_rng(i).integers(0, 256, (20 + i, 3), "uint8")
    for i, key in enumerate(KEYS)
}


@pytest.fixture(params=[np.savez, np.savez_compressed])
def path(request, tmp_path):
    request.param(tmp_path / "data.npz", **ARRAYS)
    return tmp_path / "data.npz"


def assert_same(read):
    assert read.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        assert read[key].dtype == array.dtype
        assert np.array_equal(read[key], array)


def test_reads_what_numpy_wrote(path):
    assert_same(read_npz(path))


def test_extra_arrays_are_left_alone(tmp_path):
    extra = np.array([object()])
    np.savez(tmp_path / "data.npz", **ARRAYS, extra=extra)
    assert_same(read_npz(tmp_path / "data.npz"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_is_an_error_or_harmless(path, data):
    whole = path.read_bytes()
    damaged = path.with_name("damaged.npz")
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    damaged.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    try:
        read = read_npz(damaged)
    except ValueError as error:
        assert str(damaged) in str(error)
    else:
        assert_same(read)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_truncation_is_an_error(path, data):
    whole = path.read_bytes()
    damaged = path.with_name("damaged.npz")
    damaged.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match="undamaged"):
        read_npz(damaged)


def test_missing_arrays_are_named(tmp_path):
    np.savez(tmp_path / "data.npz", x_train=1, y_train=2, other=3)
    with pytest.raises(ValueError, match=r"lacks x_test, y_test.*other"):
        read_npz(tmp_path / "data.npz")


def test_plain_npy_file(tmp_path):
    np.save(tmp_path / "data.npy", np.ones(3))
    with pytest.raises(ValueError, match="undamaged"):
        read_npz(tmp_path / "data.npy")


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"junk",
        b"\x93NUMPY\x01\x00\x02\x00{}",
        b"\x93NUMPY\x01\x00\x02\x00{(",  # A tokenize.TokenError.
    ],
)
def test_members_that_are_no_arrays(tmp_path, junk):
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        for key in KEYS:
            archive.writestr(f"{key}.npy", junk)
    with pytest.raises(ValueError, match="undamaged"):
        read_npz(tmp_path / "data.npz")


def test_array_shorter_than_its_member(tmp_path):
    np.savez(tmp_path / "data.npz", **ARRAYS)
    with zipfile.ZipFile(tmp_path / "data.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member + b"more")
    with pytest.raises(ValueError, match="longer than its header"):
        read_npz(tmp_path / "data.npz")


def test_damage_of_another_compression(tmp_path):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for key in KEYS:
            archive.writestr(f"{key}.npy", bytes(200))
    content = bytearray(path.read_bytes())
    content[len("x_train.npy") + 50] ^= 255  # An lzma.LZMAError.
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"data\.npz must be an undamaged"):
        read_npz(path)


class Exploit:
    def __reduce__(self):
        return pytest.fail, ("a file was unpickled",)


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, **{**ARRAYS, "y_test": np.array([Exploit()])})
    with pytest.raises(ValueError, match="[Oo]bject arrays"):
        read_npz(path)
    path.write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(ValueError, match="undamaged"):
        read_npz(path)
