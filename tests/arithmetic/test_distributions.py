import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_snn.arithmetic import distributions
from keras_snn.arithmetic.distributions import counts
from keras_snn.arithmetic.distributions import layer_sparsities

pytestmark = pytest.mark.once


def resnet18_shapes():
    """The paper's ResNet18 for CIFAR-100, without building it."""
    shapes = {"stem": (3, 3, 3, 64)}
    inputs = 64
    for stage, filters in enumerate([64, 128, 256, 512], 1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            shapes[f"{name}.conv1"] = (3, 3, inputs, filters)
            shapes[f"{name}.conv2"] = (3, 3, filters, filters)
            if inputs != filters:
                shapes[f"{name}.shortcut"] = (1, 1, inputs, filters)
            inputs = filters
    shapes["fc"] = (512, 100)
    return shapes


GOLDEN = {  # From the formula, worked out by hand for this network.
    0.8: {
        "stem": 1,
        "layer1": 1,
        "layer2.0.conv1": 0.7393,
        "layer2": 0.4891,
        "layer3.0.conv1": 0.3640,
        "layer3": 0.2418,
        "layer4.0.conv1": 0.1806,
        "layer4": 0.1202,
        "shortcut": 1,
        "fc": 1,
    },
    0.9: {
        "stem": 1,
        "layer1": 0.4611,
        "layer2.0.conv1": 0.3406,
        "layer2": 0.2254,
        "layer3.0.conv1": 0.1677,
        "layer3": 0.1114,
        "layer4.0.conv1": 0.0832,
        "layer4": 0.0554,
        "layer2.0.shortcut": 1,
        "layer3.0.shortcut": 1,
        "layer4.0.shortcut": 0.7451,
        "fc": 1,
    },
}


def golden_density(golden, name):
    for key in (name, name.rpartition(".")[2], name.partition(".")[0]):
        if key in golden:
            return golden[key]
    raise KeyError(name)


@pytest.mark.parametrize("sparsity", [0.8, 0.9])
def test_erk_meets_the_golden_densities_and_the_total(sparsity):
    shapes = resnet18_shapes()
    solved = distributions.erk(shapes, sparsity)
    for name in shapes:
        expected = golden_density(GOLDEN[sparsity], name)
        assert 1 - solved[name] == pytest.approx(expected, abs=5.1e-5), name
    size = sum(map(math.prod, shapes.values()))
    active = sum(counts(shapes, solved).values())
    assert abs(active - (1 - sparsity) * size) <= 1


side = st.integers(1, 40)
some_shapes = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.one_of(
        st.tuples(side, side),
        st.tuples(st.integers(1, 5), side, side),
        st.tuples(st.integers(1, 3), st.integers(1, 3), side, side),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("distribution", sorted(distributions.DISTRIBUTIONS))
@given(shapes=some_shapes, sparsity=st.floats(0, 0.99))
def test_counts_are_exact(distribution, shapes, sparsity):
    try:
        solved = layer_sparsities(shapes, sparsity, distribution)
    except ValueError as error:
        assert distribution == "uniform+" and "the others" in str(error)
        return
    assert list(solved) == list(shapes)
    assert all(-1e-9 <= s <= 1 for s in solved.values())
    size = sum(map(math.prod, shapes.values()))
    try:
        active = counts(shapes, solved)
    except ValueError as error:
        assert "Received" in str(error)
        smallest = min(
            (1 - solved[n]) * math.prod(s) for n, s in shapes.items()
        )
        assert smallest < 1
        return
    assert abs(sum(active.values()) - (1 - sparsity) * size) <= 1
    for name, shape in shapes.items():
        assert 1 <= active[name] <= math.prod(shape)
        exact = (1 - solved[name]) * math.prod(shape)
        assert abs(active[name] - exact) <= 1 + 1e-6


@given(shapes=some_shapes, sparsity=st.floats(0.01, 0.9))
def test_erk_is_in_proportion_to_raw_where_sparse(shapes, sparsity):
    solved = distributions.erk(shapes, sparsity)
    factors = [
        (1 - solved[n]) / (sum(s) / math.prod(s))
        for n, s in shapes.items()
        if solved[n] > 0
    ]
    assert np.ptp(factors) <= 1e-6 * max(factors) if factors else True


def test_erdos_renyi_ignores_the_kernel_axes():
    shapes = {"one": (1, 1, 8, 8), "three": (3, 3, 8, 8)}
    solved = distributions.erdos_renyi(shapes, 0.5)
    assert solved["one"] == pytest.approx(solved["three"])
    assert distributions.erk(shapes, 0.5)["three"] > 0.5


def test_a_mapping_names_layers_or_weights():
    shapes = {"a/kernel": (10, 10), "b/kernel": (10, 10), "c/kernel": (10, 10)}
    solved = layer_sparsities(shapes, 0.5, {"a": 0.0, "b/kernel": 0.9})
    assert solved == {"a/kernel": 0.0, "b/kernel": 0.9, "c/kernel": 0.5}
    assert counts(shapes, solved)["b/kernel"] == 10


def test_a_function_is_a_distribution():
    shapes = {"a": (4, 4), "b": (4, 4)}
    half = layer_sparsities(shapes, 0.5, lambda s, x: dict.fromkeys(s, x / 2))
    assert half == {"a": 0.25, "b": 0.25}


def test_bad_input():
    shapes = {"a/kernel": (2, 2)}
    with pytest.raises(ValueError, match="Received: distribution='elk'"):
        layer_sparsities(shapes, 0.5, "elk")
    with pytest.raises(ValueError, match="Received: 'b'"):
        layer_sparsities(shapes, 0.5, {"b": 0.1})
    with pytest.raises(ValueError, match=r"Received: distribution\['a'\]=1"):
        layer_sparsities(shapes, 0.5, {"a": 1})
    with pytest.raises(ValueError, match="Received: sparsity=1.5"):
        layer_sparsities(shapes, 1.5, "erk")
    with pytest.raises(ValueError, match="0.99 for 'a/kernel' of 4"):
        counts(shapes, {"a/kernel": 0.99})


def test_erk_power_scale_goes_from_uniform_to_erk_and_beyond():
    shapes = {"small": (20, 10), "large": (100, 50)}
    raw = np.array([30 / 200, 150 / 5000])
    for power in (0.0, 0.5, 1.0):
        solved = distributions.erk(shapes, 0.9, erk_power_scale=power)
        factor = 520 / (raw**power * [200, 5000]).sum()
        densities = [1 - solved[name] for name in shapes]
        np.testing.assert_allclose(densities, factor * raw**power)
    partial = functools.partial(distributions.erk, erk_power_scale=0.0)
    solved = layer_sparsities(shapes, 0.9, partial)
    assert list(solved.values()) == pytest.approx([0.9, 0.9])
    with pytest.raises(ValueError, match="`erk_power_scale` must be"):
        distributions.erk(shapes, 0.9, erk_power_scale=-1.0)


def uniform_plus_as_published(sizes, sparsity, convolution):
    """Steps of `_compute_unifplus_amounts`, in whole numbers of weights."""
    sizes = np.array(sizes, float)
    prune = np.round(sizes.sum() * sparsity)
    kept = np.round(0.2 * sizes[-1])
    front = 1 if convolution else 0
    share = prune / sizes[front:].sum()
    amounts = [0.0] * front + [share] * (len(sizes) - front)
    if np.round((1 - share) * sizes[-1]) < kept:
        of_last = sizes[-1] - kept
        share = (prune - of_last) / sizes[front:-1].sum()
        amounts[front:] = [share] * (len(sizes) - front - 1)
        amounts.append(of_last / sizes[-1])
    return amounts


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.79, 0.9])
@pytest.mark.parametrize("first", [(3, 3, 4, 20), (60, 12)])
def test_uniform_plus_is_the_published_one(sparsity, first):
    shapes = {"a": first, "b": (3, 3, 20, 50), "c": (50, 40), "d": (40, 10)}
    sizes = [math.prod(shape) for shape in shapes.values()]
    expected = uniform_plus_as_published(sizes, sparsity, len(first) == 4)
    solved = layer_sparsities(shapes, sparsity, "uniform+")
    assert list(solved.values()) == pytest.approx(expected, abs=1e-4)
    assert (solved["a"] == 0) == (len(first) == 4 or sparsity == 0)
    active = counts(shapes, solved)
    assert sum(active.values()) == round((1 - sparsity) * sum(sizes))


@pytest.mark.parametrize("shapes", [{"a": (3, 3, 4, 8)}, {"a": (40, 20)}])
def test_uniform_plus_has_limits(shapes):
    assert layer_sparsities(shapes, 0.0, "uniform+") == {"a": 0.0}
    with pytest.raises(ValueError, match='"uniform\\+" keeps.*sparsity=0.9'):
        layer_sparsities(shapes, 0.9, "uniform+")
