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
def provenance(devices=1):
    """Versions, commit, backend and device, a dict for JSON.

    Args:
        devices: How many share a training.
    """
    return {
        "versions": {"python": platform.python_version()}
        | {package: _version(package) for package in PACKAGES},
        "commit": _commit(),
        "backend": keras.backend.backend(),
        "device": _device(devices),
    }


def _device(count):
    """The name of the GPU, or how many cores there are."""
    name = backend.device()
    if name == "cpu":
        name += f", {os.cpu_count()} cores"
    return f"{count} x {name}" if count > 1 else name


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
