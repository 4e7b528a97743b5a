import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from keras_snn.corruptions import apply
from keras_snn.corruptions import cache
from keras_snn.corruptions import corrupt

pytestmark = pytest.mark.numpy

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_second_call_reads_what_the_first_wrote(tmp_path, monkeypatch):
    folder = tmp_path / "new" / "folder"
    first = corrupt(IMAGES, "fog", 3, cache_dir=folder)
    (name,) = files(folder)
    assert name.startswith("fog-3-") and name.endswith(".npy")
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
    def half(file, array):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", half)
    with pytest.raises(KeyboardInterrupt):
        corrupt(IMAGES, "contrast", cache_dir=tmp_path)
    assert files(tmp_path) == []


def test_a_kill_while_writing_leaves_no_half_file(tmp_path):
    """SIGKILL in mid-write, in a process that loads cache.py alone."""
    code = f"""
import importlib.util, os, signal
import numpy as np
spec = importlib.util.spec_from_file_location("cache", {cache.__file__!r})
cache = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cache)
save = np.save
def half(file, array):
    save(file, array[:2])
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
np.save = half
array = np.ones((4, 3), np.uint8)
settings = dict(corruption="fog", severity=1)
cache.load_or_make({str(tmp_path)!r}, settings, (array,), lambda: array)
"""
    run = subprocess.run([sys.executable, "-c", code])
    assert run.returncode == -signal.SIGKILL
    assert all(p.suffix == ".tmp" for p in tmp_path.iterdir())
    array = np.ones((4, 3), np.uint8)
    settings = dict(corruption="fog", severity=1)
    made = cache.load_or_make(tmp_path, settings, (array,), lambda: array)
    assert made.shape == (4, 3)
    (kept,) = tmp_path.glob("*.npy")
    np.testing.assert_array_equal(np.load(kept), array)


@pytest.mark.parametrize("content", (b"", b"no array", None))
def test_a_file_changed_since_is_named(tmp_path, content):
    corrupt(IMAGES, "contrast", cache_dir=tmp_path)
    path = tmp_path / files(tmp_path)[0]
    half = path.read_bytes()[:-1000]
    path.write_bytes(half if content is None else content)
    with pytest.raises(ValueError, match="Delete it") as error:
        corrupt(IMAGES, "contrast", cache_dir=tmp_path)
    assert str(path) in str(error.value)


def test_no_images_are_cached_too(tmp_path):
    for _ in range(2):
        assert len(corrupt(IMAGES[:0], "fog", cache_dir=tmp_path)) == 0
    assert len(files(tmp_path)) == 1


def test_a_folder_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    pathlib.Path(path).touch()
    with pytest.raises(OSError):
        corrupt(IMAGES, "contrast", cache_dir=path)
