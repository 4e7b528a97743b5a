"""One backend a process, chosen by KERAS_BACKEND as Keras does."""

import contextlib
import functools
import gc
import os
import tempfile

COMPILED = tempfile.TemporaryDirectory(prefix="jax")
DEFAULTS = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MPLBACKEND": "agg",
    # XLA compiles for longer than it computes here: skip the costly passes,
    # and on JAX compile once what many tests share. There are four devices.
    "XLA_FLAGS": "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true "
    "--xla_force_host_platform_device_count=4",
    "JAX_COMPILATION_CACHE_DIR": COMPILED.name,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
os.environ |= DEFAULTS | os.environ

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Nor is a graph worth optimizing that runs a few times.
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": True}
    )
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 4,
    )


@pytest.fixture(autouse=True, scope="module")
def forgotten():
    """What TensorFlow keeps of each training is not looked at ever again."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@functools.cache
def _distribution(count):
    if keras.backend.backend() == "tensorflow":
        names = [f"CPU:{i}" for i in range(count)]
        # Collectives, the default, take all strategies of a process for one.
        reduction = tf.distribute.ReductionToOneDevice()
        return tf.distribute.MirroredStrategy(names, reduction)
    devices = keras.distribution.list_devices("cpu")[:count]
    return keras.distribution.DataParallel(devices=devices)


@pytest.fixture(scope="session")
def on_devices():
    """A scope in which models are copied to that many devices; one has none."""
    if keras.backend.backend() == "torch":
        pytest.skip("Keras distributes nothing on torch")
    if not hasattr(keras.distribution.DataParallel, "scope"):
        pytest.skip("Keras is older than the scope of a distribution")
    if not hasattr(keras.src.losses.loss, "scale_loss_for_distribution"):
        pytest.skip("Keras is older than means over replicas on TensorFlow")
    return lambda count: (
        contextlib.nullcontext() if count == 1 else _distribution(count).scope()
    )


@pytest.fixture
def drawn_by_numpy(monkeypatch):
    """Initial kernels without a compilation for each shape, as on JAX."""
    rng = np.random.default_rng(0)

    def draw(self, shape, dtype=None):
        values = rng.uniform(-1, 1, shape) * np.prod(shape[:-1]) ** -0.5
        return keras.ops.convert_to_tensor(values, dtype)

    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", draw)
