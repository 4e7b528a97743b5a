"""What `make test-oldest` installs is what pyproject.toml asks for at least."""

import re
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]

pytestmark = pytest.mark.once


def test_the_oldest_constraints_are_the_floors():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11.
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needs = [*project["dependencies"]]
    for backend in ("tensorflow", "jax", "torch"):
        needs += [n for n in extras[backend] if n.startswith(backend)]
    floors = dict(need.split(">=") for need in needs)
    text = (HOME / "constraints-oldest.txt").read_text()
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)$", text, re.MULTILINE))
    assert pins.pop("jaxlib") == pins["jax"]
    # A pin may say 2.18.0 where the floor says 2.18.
    assert pins.keys() == floors.keys()
    for name, floor in floors.items():
        assert re.fullmatch(rf"{re.escape(floor)}(\.0)*", pins[name]), name
