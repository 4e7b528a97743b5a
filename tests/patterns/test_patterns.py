from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import layers

from keras_snn import patterns
from keras_snn.arithmetic import distributions
from keras_snn.masking import layer_kinds
from keras_snn.patterns import NM
from keras_snn.patterns import AblatedFanIn
from keras_snn.patterns import Blocks
from keras_snn.patterns import ConstantFanIn

pytestmark = pytest.mark.once

# Inputs in the middle: a 2 by 1 image, 4 inputs, 3 outputs.
SHAPE = (2, 1, 4, 3)
PATTERNS = [
    patterns.ANY,
    NM(2, 4),
    NM(1, 2),
    NM(1, 3, axis=-1),
    NM(1, 2, axis=0),
    ConstantFanIn(),
    ConstantFanIn((3,)),
    Blocks((4, 1)),
    Blocks((2, 3)),
    Blocks((3, 2), axes=(3, 0)),
]
# Few distinct values, so that ties are the rule.
scores = hnp.arrays(np.float32, SHAPE, elements=st.integers(-3, 3))
each = pytest.mark.parametrize("pattern", PATTERNS, ids=repr)


def counts_of(pattern):
    """The counts that a mask may have."""
    step = pattern.step(SHAPE)
    most = step if isinstance(pattern, NM) else 24
    return st.integers(1, most // step).map(lambda n: n * step)


def test_of_every_four_inputs_two_stay():
    weight = np.array([[4, 1], [3, 2], [2, 3], [1, 4], [1, 9], [2, 9], [3, 0]])
    kept = NM(2, 4).top_k(np.vstack([weight, [[0, 0]]]), 8)
    np.testing.assert_array_equal(
        kept.T.astype(int), [[1, 1, 0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 1, 1, 0, 0]]
    )


def test_groups_lie_along_the_inputs_of_a_convolution():
    scores = np.arange(16.0).reshape(2, 1, 4, 2)
    kept = NM(1, 4).top_k(scores, 4)
    np.testing.assert_array_equal(np.argwhere(kept)[:, 2], [3] * 4)
    along_outputs = NM(1, 2, axis=-1).top_k(scores, 8)
    np.testing.assert_array_equal(np.argwhere(along_outputs)[:, 3], [1] * 8)


def test_ties_go_to_the_lowest_index():
    kept = NM(2, 4).top_k(np.ones((4, 1)), 2)
    np.testing.assert_array_equal(kept.ravel(), [1, 1, 0, 0])
    kept = ConstantFanIn().top_k(np.array([[1, 0], [2, 0], [1, 0]]), 4)
    np.testing.assert_array_equal(kept, [[1, 1], [1, 1], [0, 0]])
    kept = Blocks((1, 2)).top_k(np.ones((2, 2)), 2)
    np.testing.assert_array_equal(kept, [[1, 1], [0, 0]])


def test_every_output_keeps_its_highest_inputs():
    scores = np.array([[1, 9, 1], [2, 8, 9], [3, 7, 2]])
    kept = ConstantFanIn().top_k(scores, 6)
    np.testing.assert_array_equal(kept, [[0, 1, 0], [1, 1, 1], [1, 0, 1]])


def test_blocks_stay_by_their_mean():
    scores = np.array([[9, 2, 3, 3], [0, 0, 3, 3], [4, 4, 0, 0], [4, 5, 0, 9]])
    kept = Blocks((2, 2)).top_k(scores, 8)
    np.testing.assert_array_equal(kept, np.kron([[0, 1], [1, 0]], [[1, 1]] * 2))


def test_outputs_may_be_without_inputs_where_it_is_asked():
    mask = np.array([[1, 0, 1], [1, 0, 1], [0, 0, 0]], bool)
    assert AblatedFanIn().holds(mask) and not ConstantFanIn().holds(mask)
    mask[2, 0] = True
    assert not AblatedFanIn().holds(mask)


def test_growth_refills_what_each_group_lacks():
    mask = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    weight = np.array([[0.1, 0], [0.2, 0], [0, 3], [0, 4]])
    dropped = NM(2, 4).drop_lowest(weight, mask, 2)
    np.testing.assert_array_equal(dropped, mask & (weight > 1))
    gradient = np.array([[1, 9], [2, 9], [4, 0], [3, 0]])
    grown = NM(2, 4).grow_highest(gradient, dropped, 2)
    np.testing.assert_array_equal(grown, [[0, 0], [0, 0], [1, 1], [1, 1]])


@each
@given(scores, st.data())
def test_top_k_is_exact_and_holds(pattern, values, data):
    k = data.draw(counts_of(pattern))
    kept = pattern.top_k(values, k)
    assert kept.shape == SHAPE and kept.dtype == bool and kept.sum() == k
    assert pattern.holds(kept)


@each
@given(scores, st.data(), st.integers(0, 2**31))
def test_drop_and_grow_holds(pattern, values, data, seed):
    rng = np.random.default_rng(seed)
    mask = pattern.random_mask(SHAPE, data.draw(counts_of(pattern)), rng)
    assert pattern.holds(mask)
    blocks = int(mask.sum()) // pattern.unit
    k = pattern.unit * data.draw(st.integers(0, blocks))
    dropped = pattern.drop_lowest(values, mask, k)
    assert dropped.sum() == mask.sum() - k and not (dropped & ~mask).any()
    if not isinstance(pattern, Blocks) and 0 < k < mask.sum():
        assert values[mask & ~dropped].max() <= values[dropped].min()
    for grown in (
        pattern.grow_highest(values, dropped, k),
        pattern.grow_random(dropped, k, rng),
    ):
        assert grown.sum() == mask.sum() and not (dropped & ~grown).any()
        assert pattern.holds(grown)


@given(scores, st.integers(1, 7), hnp.arrays(bool, 3), st.integers(0, 2**31))
def test_outputs_that_are_left_share_the_weights(values, fan_in, left, seed):
    members, kept = 8, max(np.count_nonzero(left), 3 * fan_in // 8 + 1)
    left[np.argsort(left)[3 - kept :]] = True
    rng = np.random.default_rng(seed)
    mask = ConstantFanIn().random_mask(SHAPE, 3 * fan_in, rng)
    pattern = AblatedFanIn(left=left)
    dropped = pattern.drop_lowest(np.abs(values), mask, fan_in)
    grown = pattern.grow_random(dropped, int((mask & ~dropped).sum()), rng)
    share = 3 * fan_in // kept
    assert pattern.per_output(grown).tolist() == [share * n for n in left]
    assert share <= members and not (dropped & ~grown).any()
    assert AblatedFanIn().holds(grown)
    assert AblatedFanIn().fan_in(grown) == fan_in
    whole = AblatedFanIn(left=np.ones(3, bool))
    dropped = whole.drop_lowest(np.abs(values), grown, 1)
    back = whole.grow_random(dropped, int(grown.sum() - dropped.sum()), rng)
    assert whole.per_output(back).tolist() == [fan_in] * 3


@each
@given(scores, st.data())
def test_top_k_chooses_among_what_holds(pattern, values, data):
    among = pattern.top_k(values, data.draw(counts_of(pattern)))
    kept = pattern.top_k(-values, int(among.sum()), among)
    np.testing.assert_array_equal(kept, among)


@each
@given(st.data(), st.integers(0, 2**31))
def test_random_masks_repeat(pattern, data, seed):
    k = data.draw(counts_of(pattern))
    one, other = (
        pattern.random_mask(SHAPE, k, np.random.default_rng(seed))
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("pattern", PATTERNS[1:6], ids=repr)
def test_random_masks_reach_every_weight_alike(pattern):
    rng = np.random.default_rng(0)
    k = pattern.step(SHAPE)
    total = sum(pattern.random_mask(SHAPE, k, rng) for _ in range(2000))
    assert np.abs(total / 2000 - k / 24).max() < 0.05


@each
@given(hnp.arrays(bool, SHAPE))
def test_holds_means_that_no_update_is_needed(pattern, mask):
    if pattern.holds(mask) and mask.any():
        again = pattern.top_k(mask.astype("float32"), int(mask.sum()))
        np.testing.assert_array_equal(again, mask)


@given(st.floats(0.1, 0.9), st.sampled_from(["erk", "uniform"]))
def test_counts_are_whole_fan_ins_and_meet_the_total(sparsity, distribution):
    shapes = {"a": (64, 10), "b": (3, 3, 32, 8), "c": (200, 7)}
    of_layers = dict.fromkeys(shapes, ConstantFanIn())
    weights = {
        name: SimpleNamespace(shape=shape, plain_shape=shape)
        for name, shape in shapes.items()
    }
    counts = patterns.counts(of_layers, weights, sparsity, distribution)
    exact = distributions.layer_sparsities(shapes, sparsity, distribution)
    for name, shape in shapes.items():
        assert counts[name] % shape[-1] == 0
        wanted = (1 - exact[name]) * np.prod(shape)
        assert abs(counts[name] - wanted) <= shape[-1]
    size = sum(np.prod(shape) for shape in shapes.values())
    assert abs(sum(counts.values()) - (1 - sparsity) * size) <= 5.5


def test_half_precision():
    bfloat16 = np.asarray(keras.ops.ones((4, 2), "float32")).astype(
        keras.ops.convert_to_numpy(keras.ops.ones(1, "bfloat16")).dtype
    )
    for pattern in (NM(2, 4), ConstantFanIn(), Blocks((2, 1))):
        assert pattern.top_k(bfloat16, 4).sum() == 4


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (lambda: layers.Dense(3), (2, 5), (0,)),
        (lambda: layers.Conv2D(3, 2), (2, 8, 8, 5), (0, 1, 2)),
        (lambda: layers.Conv2DTranspose(3, 2), (2, 8, 8, 5), (0, 1, 3)),
        (lambda: layers.Conv1DTranspose(3, 2), (2, 8, 5), (0, 2)),
        (lambda: layers.EinsumDense("abc,cde->abde", (4, 3, 2)), (2, 4, 5), 0),
        (lambda: layers.EinsumDense("abde,dec->abc", (4, 6)), (2, 4, 3, 2), 1),
        (lambda: layers.EinsumDense("...x,xy->...y", 6), (2, 4), 0),
    ],
)
def test_the_axes_of_inputs(layer, shape, axes):
    layer = layer()
    layer.build(shape)
    found = layer_kinds.input_axes(layer, layer.kernel)
    assert found == (
        axes if isinstance(axes, tuple) else tuple(range(axes + 1))
    )
    # Each output of a layer sums over as many inputs as its pattern counts.
    bound = ConstantFanIn().along(found, len(layer.kernel.shape))
    assert bound.holds(np.ones(layer.kernel.shape, bool))


def test_patterns_lie_along_those_axes():
    assert NM(2, 4).along((0, 1, 3), 4) == NM(2, 4, axis=3)
    assert NM(2, 4, axis=0).along((0, 1, 3), 4).axis == 0
    assert ConstantFanIn().along((0, 1, 3), 4) == ConstantFanIn((0, 1, 3))
    assert Blocks((4, 1)).along((0, 1, 3), 4).axes == (3, 2)
    assert Blocks((4, 1)).along((0,), 3).axes == (0, 2)


@pytest.mark.parametrize("pattern", [*PATTERNS, AblatedFanIn()], ids=repr)
def test_a_config_gives_the_pattern_again(pattern):
    assert patterns.get(patterns.serialize(pattern)) == pattern


def test_strings():
    assert patterns.get("2:4") == NM(2, 4)
    assert patterns.get("1:16") == NM(1, 16)
    assert patterns.get(None) is patterns.ANY


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: NM(4, 4), ValueError, "1 <= n < m.*n=4, m=4"),
        (lambda: NM(0, 4), ValueError, "1 <= n < m.*n=0"),
        (lambda: NM(2.0, 4), ValueError, "`n` must be an int.*2.0"),
        (lambda: NM(2, "4"), ValueError, "`m` must be an int.*'4'"),
        (lambda: NM(True, 4), ValueError, "`n` must be an int.*True"),
        (lambda: NM(1, 2, axis=0.5), ValueError, "`axis` must be an int"),
        (lambda: Blocks(4), ValueError, "`shape` must be a pair.*shape=4"),
        (lambda: Blocks((4, 0)), ValueError, r"ints >= 1.*shape=\(4, 0\)"),
        (lambda: Blocks((4, 1.5)), ValueError, "`shape` must be an int.*1.5"),
        (lambda: ConstantFanIn(("a",)), ValueError, "`inputs` must be an int"),
        (lambda: patterns.get("4:2"), ValueError, "1 <= n < m"),
        (lambda: patterns.get("2x4"), ValueError, "such as '2:4'.*'2x4'"),
        (lambda: patterns.get("-2:4"), ValueError, "such as '2:4'"),
        (lambda: patterns.get((2, 4)), TypeError, r"`pattern` must be.*\(2, 4"),
        (lambda: NM(2, 4).check_shape((6, 4), "a"), ValueError, "'a'.*6 along"),
        (lambda: NM(1, 2, 3).check_shape((6, 4)), ValueError, "axis=3"),
        (lambda: Blocks((4, 1)).check_shape((6, 4), "a"), ValueError, "'a'"),
        (lambda: Blocks((1, 1)).check_shape((6,)), ValueError, "two axes"),
        (lambda: NM(2, 4).sparsity(0.8), ValueError, "of its own, 0.5: leave"),
        (lambda: NM(2, 4).sparsity(1.2), ValueError, r"in \[0, 1\).*1.2"),
        (lambda: patterns.ANY.sparsity(None), ValueError, r"in \[0, 1\).*None"),
        (lambda: NM(2, 4).distribution({}), ValueError, "the same sparsity"),
        (lambda: NM(2, 4).top_k(np.ones((4, 2)), 3), ValueError, "keeps 4 wei"),
        (
            lambda: ConstantFanIn().top_k(np.ones((4, 2)), 3),
            ValueError,
            "each of 2 outputs. Received: 3",
        ),
        (
            lambda: Blocks((2, 1)).top_k(np.ones((4, 2)), 3),
            ValueError,
            "whole blocks of 2 weights. Received: 3",
        ),
        (
            lambda: NM(2, 4).top_k(np.ones((4, 1)), 2, np.eye(4, 1) > 0),
            ValueError,
            "fewer to choose from",
        ),
        (
            lambda: NM(1, 2).grow_highest(np.ones((4, 1)), np.eye(4, 1) < 1, 0),
            ValueError,
            "keeps 2 weights",
        ),
        (
            lambda: NM(1, 2).grow_highest(
                np.ones((4, 1)), np.array([[1], [1], [0], [0]]) > 0, 0
            ),
            ValueError,
            "none may begin with more",
        ),
        (
            lambda: NM(1, 2).top_k(np.array([[1], [np.nan]]), 1),
            ValueError,
            "must be finite",
        ),
        (
            lambda: NM(1, 2).check(np.ones((4, 1), bool), "a/kernel"),
            ValueError,
            r"sparsify\(model, pattern=.*'a/kernel'",
        ),
    ],
)
def test_wrong_arguments(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
