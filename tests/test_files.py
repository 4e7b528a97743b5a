import concurrent.futures
import pathlib
import signal
import subprocess
import sys

import pytest

from keras_snn import files

pytestmark = pytest.mark.once


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"a": object()})
    assert files.read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json must hold JSON"):
        files.read_json(path)


def test_rows_with_different_keys(tmp_path):
    files.write_csv(tmp_path / "a.csv", [{"a": 1}, {"a": 2, "b": 3}])
    assert (tmp_path / "a.csv").read_text().split() == ["a,b", "1,", "2,3"]


def test_writers_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "a.v1.json"

    def write(letter):
        for _ in range(20):
            files.write_json(path, letter * 100_000)
            content = files.read_json(path)
            assert len(set(content)) == 1 and len(content) == 100_000

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(write, "abc"))
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_readable_by_whom_it_would_be(tmp_path):
    files.write_json(tmp_path / "a.json", 1)
    (tmp_path / "b.json").write_text("1")
    modes = [(tmp_path / f"{n}.json").stat().st_mode for n in "ab"]
    assert modes[0] == modes[1]


def test_a_kill_while_writing_leaves_what_was_there(tmp_path):
    """SIGKILL in mid-write, in a process that loads files.py alone."""
    path = tmp_path / "a.json"
    files.write_json(path, "before")
    code = f"""
import importlib.util, os, signal
spec = importlib.util.spec_from_file_location("files", {files.__file__!r})
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)
with files.written({str(path)!r}) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", code])
    assert run.returncode == -signal.SIGKILL
    assert files.read_json(path) == "before"


def test_a_lock_has_one_holder_and_ends_with_its_process(tmp_path):
    path = tmp_path / "new" / "a.lock"
    with files.locked(path) as mine:
        assert mine
        with files.locked(path) as second:
            assert not second
        with files.locked(tmp_path / "b.lock") as other:
            assert other
    program = (
        "import sys; "
        f"sys.path.insert(0, {str(pathlib.Path(files.__file__).parent)!r}); "
        "import files; "
        f"held = files.locked({str(path)!r}); assert held.__enter__(); "
        "print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout.readline() == b"held\n"
        with files.locked(path) as mine:
            assert not mine
        process.kill()
        process.wait()
        with files.locked(path) as mine:
            assert mine
