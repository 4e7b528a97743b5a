import inspect

import numpy as np
import pytest

from keras_snn.corruptions import CORRUPTIONS
from keras_snn.corruptions import EXTRA_CORRUPTIONS
from keras_snn.corruptions import corruptions
from keras_snn.corruptions.severities import TABLES
from keras_snn.corruptions.severities import parameters
from keras_snn.corruptions.severities import table_for

pytestmark = pytest.mark.once

ALL = CORRUPTIONS + EXTRA_CORRUPTIONS


@pytest.mark.parametrize("table", TABLES)
def test_every_corruption_has_five_levels_that_fit_its_function(table):
    assert sorted(TABLES[table]) == sorted(ALL)
    for name in ALL:
        assert len(TABLES[table][name]) == 5
        arguments = inspect.signature(getattr(corruptions, name)).parameters
        for severity in range(1, 7):
            level = parameters(name, severity, table)
            assert len(level) == len(arguments) - 2
            fifth = parameters(name, 5, table)
            assert [type(p) for p in level] == [type(p) for p in fifth]


@pytest.mark.parametrize("table", TABLES)
def test_level_six_is_valid(table):
    for name in ALL:
        assert all(p >= 0 for p in parameters(name, 6, table))
    assert 0 < parameters("contrast", 6, table)[0] < 1
    assert 0 < parameters("pixelate", 6, table)[0] < 1
    assert 1 <= parameters("jpeg_compression", 6, table)[0] <= 100
    assert parameters("shot_noise", 6, table)[0] >= 1
    assert parameters("impulse_noise", 6, table)[0] < 1
    assert parameters("snow", 6, table)[2] >= 1
    assert parameters("fog", 6, table)[1] > 1


def test_level_six_by_hand():
    assert parameters("brightness", 6, "cifar32") == (pytest.approx(0.45),)
    assert parameters("jpeg_compression", 6, "cifar32") == (32,)
    assert parameters("glass_blur", 6, "tiny64") == (
        pytest.approx(0.81 / 0.7),
        2,
        4,
    )
    assert parameters("spatter", 6, "cifar32")[-1] is True


def test_tables_differ_where_the_published_ones_do():
    std = [parameters("gaussian_noise", 5, table)[0] for table in TABLES]
    assert std == [0.10, 0.18, 0.38]


def test_elastic_lengths_are_pixels():
    assert parameters("elastic_transform", 1, "cifar32") == (0, 0, 2.56)
    np.testing.assert_allclose(
        parameters("elastic_transform", 5, "imagenet224"), (29.28, 2.44, 4.88)
    )


def test_table_for():
    assert table_for(64, 64) == "tiny64"
    with pytest.raises(ValueError, match="28x28"):
        table_for(28, 28)
