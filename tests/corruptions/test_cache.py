import pathlib
import tempfile
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_snn.corruptions import apply
from keras_snn.corruptions import corrupt

pytestmark = pytest.mark.once

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_second_call_reads_what_the_first_wrote(tmp_path, monkeypatch):
    folder = tmp_path / "new" / "folder"
    first = corrupt(IMAGES, "fog", 3, cache_dir=folder)
    (name,) = files(folder)
    assert name.startswith("fog-3-") and name.endswith(".npz")
    monkeypatch.setattr(apply, "_corrupt", lambda *_: pytest.fail("made again"))
    second = corrupt(IMAGES, "fog", 3, cache_dir=str(folder))
    np.testing.assert_array_equal(first, second)
    assert second.flags.writeable


def test_whatever_changes_the_result_changes_the_file(tmp_path, monkeypatch):
    def count(images=IMAGES, corruption="fog", severity=3, **options):
        corrupt(images, corruption, severity, cache_dir=tmp_path, **options)
        return len(files(tmp_path))

    assert count() == 1
    assert count(IMAGES ^ 1) == 2
    assert count(IMAGES[:2]) == 3
    assert count(corruption="frost") == 4
    assert count(severity=4) == 5
    assert count(seed=1) == 6
    assert count(table="tiny64") == 7
    assert count(ids=[3, 2, 1, 0]) == 8
    # Said or implied is the same.
    assert count(table="cifar32", ids=[0, 1, 2, 3], verbose=True) == 8
    monkeypatch.setattr(apply, "frost_source", lambda: "generated")
    assert count() == 8
    assert count(corruption="frost") == 9
    monkeypatch.setattr(apply, "VERSION", apply.VERSION + 1)
    assert count() == 10


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def half(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(KeyboardInterrupt):
        corrupt(IMAGES, "contrast", cache_dir=tmp_path)
    assert files(tmp_path) == []


def kept(folder):
    """The one file of a folder, and what a call makes of it."""
    (name,) = files(folder)
    return folder / name


@pytest.mark.parametrize("content", (b"", b"no array", None))
def test_a_damaged_file_is_named_and_made_anew(tmp_path, content):
    first = corrupt(IMAGES, "contrast", cache_dir=tmp_path)
    path = kept(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000] if content is None else content)
    with pytest.warns(UserWarning, match="made anew") as warned:
        again = corrupt(IMAGES, "contrast", cache_dir=tmp_path)
    assert str(path) in str(warned[0].message)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(
        corrupt(IMAGES, "contrast", cache_dir=tmp_path), first
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_flipped_bit_passes_for_the_images(data):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        first = corrupt(IMAGES, "contrast", cache_dir=folder)
        path = kept(folder)
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(bytes(content))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = corrupt(IMAGES, "contrast", cache_dir=folder)
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("what", ["key", "shape", "dtype"])
def test_another_array_under_the_name_is_not_taken(tmp_path, what):
    first = corrupt(IMAGES, "contrast", cache_dir=tmp_path)
    path = kept(tmp_path)
    with np.load(path) as file:
        key, array = file["key"], file["array"]
    other = {
        "key": {"key": np.array("another"), "array": array},
        "shape": {"key": key, "array": array[:2]},
        "dtype": {"key": key, "array": array.astype("int32")},
    }
    np.savez(path, **other[what])
    with pytest.warns(UserWarning, match="made anew"):
        again = corrupt(IMAGES, "contrast", cache_dir=tmp_path)
    np.testing.assert_array_equal(again, first)


def test_no_images_are_cached_too(tmp_path):
    for _ in range(2):
        assert len(corrupt(IMAGES[:0], "fog", cache_dir=tmp_path)) == 0
    assert len(files(tmp_path)) == 1


def test_a_folder_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    pathlib.Path(path).touch()
    with pytest.raises(OSError):
        corrupt(IMAGES, "contrast", cache_dir=path)
