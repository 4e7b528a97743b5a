"""From a dense file to a sparse one that is served without keras_snn."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 8, 8, 1)).astype("float32")
Y = RNG.integers(0, 3, 16)
SERVE = """
import sys
import keras
import numpy as np
x, expected = (np.load(path) for path in sys.argv[2:])
model = keras.saving.load_model(sys.argv[1])
np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)
assert "keras_snn" not in sys.modules
print(type(model).__name__)
"""


def backbone():
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, name="conv1")(inputs)
    x = layers.BatchNormalization(name="norm1")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(8, 3, name="conv2")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, x, name="backbone")


def test_a_pretrained_model_is_fine_tuned_and_served(tmp_path):
    backbone().save(tmp_path / "dense.keras")

    pretrained = keras.saving.load_model(tmp_path / "dense.keras")
    inputs = keras.Input((8, 8, 1))
    outputs = layers.Dense(3, name="head")(pretrained(inputs))
    sparse = keras_snn.sparsify(keras.Model(inputs, outputs), 0.5, "uniform")
    body = sparse.get_layer("backbone")
    body.get_layer("conv1").trainable = False
    before = body.get_layer("conv1").kernel.numpy()

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    jit = keras.backend.backend() == "jax"
    sparse.compile(keras.optimizers.Adam(0.01), loss, jit_compile=jit)
    losses = sparse.fit(X, Y, batch_size=8, epochs=4, verbose=0)
    assert losses.history["loss"][-1] < losses.history["loss"][0]
    after = body.get_layer("conv1").kernel.numpy()
    np.testing.assert_array_equal(after, before)

    plain = keras_snn.strip(sparse)
    plain.save(tmp_path / "plain.keras")
    for name in ("conv1", "conv2"):
        kernel = body.get_layer(name).kernel.numpy()
        mask = keras_snn.get_masks(sparse)[f"backbone/{name}/kernel"]
        assert not kernel[~mask].any() and not mask.all()
    served = keras.saving.load_model(tmp_path / "plain.keras")
    np.testing.assert_allclose(
        ops.convert_to_numpy(served(X)),
        ops.convert_to_numpy(sparse(X)),
        atol=1e-6,
    )


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="one process is enough"
)
def test_a_fresh_process_needs_no_keras_snn(tmp_path):
    sparse = keras_snn.sparsify(backbone(), 0.5)
    plain = keras_snn.strip(sparse)
    paths = [tmp_path / name for name in ("plain.keras", "x.npy", "y.npy")]
    plain.save(paths[0])
    np.save(paths[1], X)
    np.save(paths[2], plain.predict(X, verbose=0))
    process = subprocess.run(
        [sys.executable, "-c", SERVE, *map(str, paths)],
        capture_output=True,
        text=True,
        env=os.environ,
        cwd=tmp_path,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split()[-1] == "Functional"
