"""What is an integer, and what only looks like one."""

import numpy as np
import pytest

from keras_snn.checks import check_integer

pytestmark = pytest.mark.once


@pytest.mark.parametrize("value", [3, 0, np.int64(4), np.uint8(5)])
def test_integers_come_back(value):
    assert check_integer("seed", value, 0, "to count by") is value


@pytest.mark.parametrize(
    "value", [-1, 1.0, True, False, np.True_, "1", None, np.array(1)]
)
def test_nothing_else_does(value):
    message = r"`seed` must be an int >= 0, to count by\. Received: seed="
    with pytest.raises(ValueError, match=message):
        check_integer("seed", value, 0, "to count by")


def test_without_a_bound():
    assert check_integer("axis", -1, None, "an axis") == -1
    with pytest.raises(ValueError, match="`axis` must be an int, an axis"):
        check_integer("axis", 0.5, None, "an axis")
