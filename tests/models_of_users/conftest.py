"""What must hold of every model that a user may bring."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_snn
from keras_snn.masking.mask_state import masked_weights


def numpy(outputs):
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def assert_same(outputs, expected, atol=1e-6):
    outputs = numpy(outputs)
    keras.tree.assert_same_structure(outputs, expected)
    for one, other in zip(
        keras.tree.flatten(outputs),
        keras.tree.flatten(expected),
        strict=True,
    ):
        scale = max(1.0, np.abs(other).max())
        np.testing.assert_allclose(one, other, atol=atol * scale, rtol=0)


@pytest.fixture(name="assert_zero_outside")
def assert_zero_outside_fixture():
    return assert_zero_outside


def assert_zero_outside(model):
    for path, masked in masked_weights(model).items():
        assert np.isfinite(masked.weight_array()).all(), path
        assert not masked.weight_array()[~masked.mask_array()].any(), path


def compile_for_test(model, loss):
    # XLA, the default on TensorFlow, compiles for longer than a test may take.
    jit = keras.backend.backend() == "jax"
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, loss, jit_compile=jit)


@pytest.fixture
def check(tmp_path):
    """Sparse, trained, saved, loaded and stripped: the same all the way."""

    def check(model, x, y=None, *, loss="mse", trains=True, **options):
        dense = numpy(model(x))
        sparse = keras_snn.sparsify(model, 0.0, **options)
        assert isinstance(sparse, keras.Model)
        assert_same(sparse(x), dense)
        before = [w.numpy() for w in model.weights]
        sparse = keras_snn.sparsify(keras_snn.strip(sparse), 0.5, **options)
        if trains:
            compile_for_test(sparse, loss)
            y = (
                keras.tree.map_structure(np.zeros_like, dense)
                if y is None
                else y
            )
            sparse.fit(x, y, batch_size=2, shuffle=False, verbose=0)
            assert any(
                (w.numpy() != old).any()
                for w, old in zip(model.weights, before, strict=True)
            )
        assert keras_snn.sparsity(sparse) == pytest.approx(0.5, abs=0.01)
        assert_zero_outside(sparse)
        outputs = numpy(sparse(x))
        assert_zero_outside(sparse)

        path = tmp_path / "sparse.keras"
        sparse.save(path)
        loaded = keras.saving.load_model(path, compile=False)
        assert type(loaded) is type(sparse)
        assert_same(loaded(x), outputs)
        assert_zero_outside(loaded)

        plain = keras_snn.strip(sparse)
        assert plain is model
        assert_same(plain(x), outputs)
        return loaded

    return check
