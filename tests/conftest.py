"""One backend a process, chosen by KERAS_BACKEND as Keras does."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import keras  # noqa: E402
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
