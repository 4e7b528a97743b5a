import logging

import numpy as np
import pytest

from keras_snn.corruptions import corrupt
from keras_snn.corruptions import frost_source
from keras_snn.corruptions import textures

pytestmark = pytest.mark.once


@pytest.fixture
def no_photographs(monkeypatch):
    def forget():
        textures.frost_textures.cache_clear()
        textures._full_size_textures.cache_clear()

    monkeypatch.setattr(textures, "_photograph_folder", lambda: None)
    forget()
    yield
    forget()


def test_plasma_spans_zero_to_one_and_repeats():
    uniforms = np.random.default_rng(0).uniform(-1, 1, (3, 32 * 32))
    clouds = textures.plasma(uniforms, 2.0)
    assert clouds.shape == (3, 32, 32)
    assert clouds.min((1, 2)).tolist() == [0, 0, 0]
    assert clouds.max((1, 2)).tolist() == [1, 1, 1]
    np.testing.assert_array_equal(
        clouds[1:2], textures.plasma(uniforms[1:2], 2.0)
    )


def test_plasma_by_hand():
    # 2x2: the centre, then a row and a column middle, over a corner of 0.
    uniforms = np.array([[0.5, -0.5, 0.25, 0.0]])
    centre = 5000.0
    row = (2 * 0 + 2 * centre) / 4 - 5000
    column = (2 * 0 + 2 * centre) / 4 + 2500
    cloud = np.array([[0, row], [column, centre]])
    expected = (cloud - row) / (centre - row)
    np.testing.assert_allclose(
        textures.plasma(uniforms, 2.0)[0], expected, rtol=1e-6
    )


def test_smoother_decay_makes_smoother_clouds():
    uniforms = np.random.default_rng(0).uniform(-1, 1, (5, 64 * 64))
    rough, smooth = (
        np.abs(np.diff(textures.plasma(uniforms, decay), axis=2)).mean()
        for decay in (1.4, 3.0)
    )
    assert smooth < rough / 3


def test_photographs_are_found_with_the_oracle():
    assert frost_source() == "imagecorruptions"


def test_without_photographs_needles_are_generated(no_photographs, caplog):
    with caplog.at_level(logging.INFO, logger="keras_snn"):
        sheets = textures.frost_textures(1.0, 32, 32)
    assert "generated" in caplog.text
    assert frost_source() == "generated"
    assert len(sheets) == 5
    looks = zip(sheets, textures._PHOTOGRAPHS, strict=True)
    for sheet, (colour, _) in looks:
        np.testing.assert_allclose(sheet.mean((0, 1)), colour, atol=5)
    grey = np.zeros((1, 32, 32, 3), np.uint8)
    icy = corrupt(grey, "frost", 3)
    np.testing.assert_array_equal(icy, corrupt(grey, "frost", 3))
    assert icy.std() > 1


@pytest.mark.parametrize("shape", ((32, 32), (700, 20), (20, 1000)))
def test_textures_are_larger_than_the_image(shape):
    for sheet in textures.frost_textures(0.2, *shape):
        assert sheet.shape[0] > shape[0] and sheet.shape[1] > shape[1]
        assert sheet.dtype == np.uint8
