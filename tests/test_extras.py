"""What is missing is named as pip finds it."""

import ast
import re
import sys
from pathlib import Path

import pytest

from keras_snn.extras import missing
from keras_snn.extras import require

HOME = Path(__file__).parents[1]
SOURCES = sorted((HOME / "keras_snn").rglob("*.py"))
# Imported in their turn where they are used, with a backend or with Numba.
LATE = {
    "backend/jax.py",
    "backend/tensorflow.py",
    "backend/torch.py",
    "backend/torch_quick.py",
    "compute/kernels.py",
    "compute/planes.py",
    "compute/tensorflow_ops.py",
    "compute/vectors.py",
    "backend/jax_cpu.py",
    "compute/xla_handlers.py",
}

pytestmark = pytest.mark.once


def required():
    """The modules that any file asks for by `require`."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                first = node.args[0]
                if name == "require" and isinstance(first, ast.Constant):
                    yield first.value


def packages_of_extras():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11.
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    for needs in project["optional-dependencies"].values():
        yield from (re.match(r"[\w-]+", each)[0] for each in needs)


@pytest.mark.parametrize(
    "name", sorted({*required(), "ai_edge_litert", "importlib_resources"})
)
def test_every_hint_names_a_package_of_an_extra(name):
    hint = str(missing(name, "It"))
    package = re.search(r"pip install (\S+)$", hint)[1]
    assert package in set(packages_of_extras())


def test_there_are_modules_to_ask_for():
    assert {"cv2", "keras_cv", "tensorflow"} <= set(required())


def test_no_hint_names_an_extra():
    # The package is in no index: pip would not find it by its name.
    for path in SOURCES:
        assert "keras-snn[" not in path.read_text(), path


def test_a_module_that_is_there_is_returned():
    assert require("os.path", "It") is sys.modules["os.path"]


def test_what_a_module_lacks_in_turn_is_named(tmp_path, monkeypatch):
    (tmp_path / "a_module_of_mine.py").write_text("import sklearn.datasets")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match="It needs scikit-learn, .* scikit"):
        require("a_module_of_mine", "It")


def test_a_module_that_breaks_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "a_broken_one.py").write_text("raise ImportError('libGL')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="^libGL$"):
        require("a_broken_one", "It")


def test_only_what_is_always_there_is_imported_at_the_top():
    there = {"keras", "keras_snn", "numpy", *sys.stdlib_module_names}
    for path in SOURCES:
        if path.relative_to(HOME / "keras_snn").as_posix() in LATE:
            continue
        for node in ast.parse(path.read_text()).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            assert {name.partition(".")[0] for name in names} <= there, path
