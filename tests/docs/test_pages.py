"""Every block of Python in README and the guides, and every notebook, runs."""

import importlib
import json
import os
import re
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import pytest

import keras_snn
import keras_snn.experiments

HOME = Path(__file__).parents[2]
PAGES = [
    HOME / "README.md",
    HOME / "docs/index.md",
    *sorted((HOME / "docs/guides").glob("*.md")),
    *sorted((HOME / "docs/notebooks").glob("*.ipynb")),
]
BACKENDS = ("tensorflow", "jax", "torch")
# A fence of one backend alone: ``` { .python .jax }
FENCE = re.compile(
    r"^``` ?(?:python|\{ \.python \.(?P<backend>\w+) \})\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def blocks(page, backend):
    text = page.read_text()
    if page.suffix == ".ipynb":
        for cell in json.loads(text)["cells"]:
            if cell["cell_type"] == "code":
                yield compile("".join(cell["source"]), str(page), "exec")
        return
    for block in FENCE.finditer(text):
        assert block["backend"] in (None, *BACKENDS)
        if block["backend"] in (None, backend):
            # Lines are those of the page, for whoever reads a traceback.
            above = "\n" * text[: block.start("code")].count("\n")
            yield compile(above + block["code"], str(page), "exec")


def on_every_backend(page):
    """Whether it has a block for one of them: others run once."""
    return any(block["backend"] for block in FENCE.finditer(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page(page, tmp_path, monkeypatch):
    backend = keras.backend.backend()
    code = list(blocks(page, backend))
    if not code or backend != BACKENDS[0] and not on_every_backend(page):
        pytest.skip("has no code, or runs once, where it is quickest")
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    methods = dict(keras_snn.experiments.METHODS)
    names = {"__name__": "__main__"}
    try:
        for block in code:
            exec(block, names)
    finally:
        keras_snn.experiments.METHODS.clear()
        keras_snn.experiments.METHODS.update(methods)
        plt.close("all")


@pytest.mark.once
def test_every_public_name_is_in_the_reference():
    there = {
        name
        for page in (HOME / "docs/reference").glob("*.md")
        for name in re.findall(r"^::: keras_snn\.(\S+)", page.read_text(), re.M)
    }
    assert set(keras_snn.__all__) <= there
    for name in there:
        parts = name.split(".")
        found = importlib.import_module("keras_snn")
        for part in parts:
            if not hasattr(found, part):
                importlib.import_module(f"{found.__name__}.{part}")
            found = getattr(found, part)


@pytest.mark.once
def test_every_page_is_in_the_navigation():
    listed = set(
        re.findall(r": (\S+\.md)$", (HOME / "mkdocs.yml").read_text(), re.M)
    )
    pages = {
        os.path.relpath(page, HOME / "docs")
        for page in (HOME / "docs").rglob("*.md")
    }
    assert listed == pages
