"""Snapshots in files, and what damage does to them."""

import numpy as np
import pytest

from keras_snn.masking.snapshot import load_snapshot
from keras_snn.masking.snapshot import save_snapshot

pytestmark = pytest.mark.once

ARRAYS = [np.arange(3, dtype="float32"), np.ones((2, 2), bool), np.array(7)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "snapshot.npz"
    save_snapshot(path, ARRAYS, {"phase": 2}, "the fourth epoch")
    return path


def assert_same(saved):
    assert len(saved.arrays) == len(ARRAYS)
    for array, expected in zip(saved.arrays, ARRAYS, strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    assert (saved.state, saved.about) == ({"phase": 2}, "the fourth epoch")


def test_all_comes_back(path):
    assert_same(load_snapshot(path))


def test_no_flipped_bit_passes_for_the_snapshot(path):
    """The archive's list of files has no checksum: what it lost is missed."""
    whole = path.read_bytes()
    files = whole.index(b"PK\x01\x02")
    for place in (*range(0, files, 16), *range(files, len(whole))):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert_same(load_snapshot(path))
        except ValueError as error:
            assert f"{path} must be a snapshot" in str(error)


def test_a_part_of_it_and_other_files_are_refused(path):
    whole = path.read_bytes()
    for content in (b"", b"no archive", whole[:-1], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"snapshot\.npz must be a snapsh"):
            load_snapshot(path)
    for other in ({}, {"1": np.ones(3)}, {"about": "", "count": 1, "1": 0}):
        np.savez(path, **other)
        with pytest.raises(ValueError, match="as it was written"):
            load_snapshot(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        load_snapshot(path)
