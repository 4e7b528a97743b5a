import numpy as np
import pytest

from keras_snn.models.parts import he_normal

pytestmark = pytest.mark.once


def test_bits_are_pinned():
    drawn = he_normal((1, 2, 2), 0, "conv1")
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(
        drawn.ravel(),
        [
            -1.2557435035705566,
            0.9984246492385864,
            1.3270376920700073,
            -0.39912134408950806,
        ],
        rtol=1e-6,
    )


def test_depends_on_seed_and_name_only():
    a = he_normal((3, 3, 4, 8), 0, "conv1")
    assert np.array_equal(a, he_normal((3, 3, 4, 8), 0, "conv1"))
    assert not np.array_equal(a, he_normal((3, 3, 4, 8), 1, "conv1"))
    assert not np.array_equal(a, he_normal((3, 3, 4, 8), 0, "conv2"))


@pytest.mark.parametrize("shape", [(3, 3, 32, 64), (512, 512), (1, 1, 8, 9000)])
def test_variance_is_two_over_fan_in(shape):
    drawn = he_normal(shape, 0, "kernel")
    fan_in = np.prod(shape[:-1])
    assert abs(drawn.mean()) < 0.03 * drawn.std()
    assert drawn.var() == pytest.approx(2 / fan_in, rel=0.05)
