"""Which code a result came from, and on what it ran."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import keras

from keras_snn import backend

PACKAGES = ("keras-snn", "keras", "tensorflow", "jax", "torch", "numpy")


@functools.cache
def provenance():
    """Versions, commit, backend and device, a dict for JSON."""
    return {
        "versions": {"python": platform.python_version()}
        | {package: _version(package) for package in PACKAGES},
        "commit": _commit(),
        "backend": keras.backend.backend(),
        "device": _device(),
    }


def _device():
    """The name of the GPU, or how many cores there are."""
    name = backend.device()
    return f"{name}, {os.cpu_count()} cores" if name == "cpu" else name


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit():
    """That of the checkout this file is in; None if it is in none."""
    home = Path(__file__).parents[2]
    if not (home / ".git").exists():
        return None

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", str(home), *arguments],
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
