"""One backend a process, chosen by KERAS_BACKEND as Keras does."""

import os
import tempfile

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")
# JAX compiles for longer than it computes here: compile once what many tests
# share, and skip the costly passes.
COMPILED = tempfile.TemporaryDirectory(prefix="jax")
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": COMPILED.name,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
}

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402


def pytest_collection_modifyitems(config, items):
    """Run what knows no backend once, with the first backend."""
    if keras.backend.backend() == "tensorflow":
        return
    once = [i for i in items if i.get_closest_marker("numpy")]
    config.hook.pytest_deselected(items=once)
    items[:] = [i for i in items if i not in once]


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture
def drawn_by_numpy(monkeypatch):
    """Initial kernels without a compilation for each shape, as on JAX."""
    rng = np.random.default_rng(0)

    def draw(self, shape, dtype=None):
        values = rng.uniform(-1, 1, shape) * np.prod(shape[:-1]) ** -0.5
        return keras.ops.convert_to_tensor(values, dtype)

    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", draw)
