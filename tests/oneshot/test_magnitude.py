"""Magnitude pruning by hand."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import get_masks
from keras_snn import prune_magnitude
from keras_snn.arithmetic import distributions
from keras_snn.masking.mask_state import masked_weights

A = np.array([[0.1, -0.2, 0.3], [-0.6, 0.05, 0.8]], "float32")
B = np.array([[-0.9, 0.5], [0.7, 0.4], [0.2, -0.55]], "float32")


def model_of(sparsity=0.0):
    dense = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, use_bias=False, name="a"),
            layers.Dense(2, use_bias=False, name="b"),
        ]
    )
    dense.set_weights([A, B])
    return keras_snn.sparsify(dense, sparsity, seed=1)


def large_model():
    keras.utils.set_random_seed(3)
    dense = keras.Sequential(
        [keras.Input((20,)), layers.Dense(30), layers.Dense(10)]
    )
    return keras_snn.sparsify(dense, 0.0)


def test_the_largest_of_the_whole_model_stay():
    model = model_of()
    masks = prune_magnitude(model, 0.5)
    np.testing.assert_array_equal(masks["a/kernel"], [[0, 0, 0], [1, 0, 1]])
    np.testing.assert_array_equal(masks["b/kernel"], [[1, 1], [1, 0], [0, 1]])
    for path, weight in (("a/kernel", A), ("b/kernel", B)):
        np.testing.assert_array_equal(get_masks(model)[path], masks[path])
        np.testing.assert_array_equal(
            masked_weights(model)[path].weight_array(), weight * masks[path]
        )


@pytest.mark.parametrize(
    "arguments", [{"scope": "layer"}, {"distribution": "uniform"}]
)
def test_the_largest_of_each_layer_stay(arguments):
    masks = prune_magnitude(model_of(), 0.5, **arguments)
    np.testing.assert_array_equal(masks["a/kernel"], [[0, 0, 1], [1, 0, 1]])
    np.testing.assert_array_equal(masks["b/kernel"], [[1, 0], [1, 0], [0, 1]])


def test_every_layer_keeps_its_largest_weight():
    model = model_of()
    masked_weights(model)["a/kernel"].weight.assign(A / 100)
    masks = prune_magnitude(model, 0.6)
    np.testing.assert_array_equal(masks["a/kernel"], [[0, 0, 0], [0, 0, 1]])
    assert masks["b/kernel"].sum() == 4


@pytest.mark.parametrize("distribution", ["erk", "erdos_renyi", "uniform"])
def test_counts_are_those_of_the_distribution(distribution):
    model = large_model()
    masks = prune_magnitude(model, 0.8, distribution=distribution)
    shapes = {path: mask.shape for path, mask in masks.items()}
    counts = distributions.counts(
        shapes, distributions.layer_sparsities(shapes, 0.8, distribution)
    )
    assert {path: mask.sum() for path, mask in masks.items()} == counts
    assert keras_snn.sparsity(model) == pytest.approx(0.8)


def test_a_distribution_may_be_a_mapping():
    masks = prune_magnitude(model_of(), 0.5, distribution={"b": 2 / 3})
    assert [mask.sum() for mask in masks.values()] == [3, 2]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_rounds_of_pruning_are_nested(scope):
    model = large_model()
    before = get_masks(model)
    for sparsity in np.linspace(0.01, 0.9, 60):
        after = prune_magnitude(model, sparsity, scope=scope)
        for path, mask in after.items():
            assert not (mask & ~before[path]).any()
        before = after
    # Once more, at the same sparsity: nothing is left to do.
    again = prune_magnitude(model, 0.9, scope=scope)
    for path, mask in again.items():
        np.testing.assert_array_equal(mask, before[path])


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="Imports PyTorch."
)
@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.9])
def test_the_masks_are_those_of_pytorch(sparsity):
    import torch
    from torch.nn.utils import prune

    model = large_model()
    modules = {}
    for path, masked in masked_weights(model).items():
        modules[path] = torch.nn.Linear(1, 1)
        modules[path].weight = torch.nn.Parameter(
            torch.tensor(masked.weight_array().copy())
        )
    prune.global_unstructured(
        [(module, "weight") for module in modules.values()],
        pruning_method=prune.L1Unstructured,
        amount=sparsity,
    )
    for path, mask in prune_magnitude(model, sparsity).items():
        expected = modules[path].weight_mask.numpy().astype(bool)
        np.testing.assert_array_equal(mask, expected)


def test_inactive_weights_stay_inactive_whatever_was_written_to_them():
    model = model_of(0.5)
    before = get_masks(model)
    for masked in masked_weights(model).values():
        value = masked.weight_array()
        masked.weight.assign(np.where(masked.mask_array(), value, 9.0))
    masks = prune_magnitude(model, 0.7)
    for path, mask in masks.items():
        assert not (mask & ~before[path]).any()
        kernel = masked_weights(model)[path].weight_array()
        assert not kernel[~mask].any()


def test_ties_go_to_the_lowest_index():
    model = model_of()
    for masked in masked_weights(model).values():
        masked.weight.assign(np.ones(masked.weight.shape))
    masks = prune_magnitude(model, 0.5)
    np.testing.assert_array_equal(masks["a/kernel"], [[1, 1, 1], [1, 1, 0]])
    np.testing.assert_array_equal(masks["b/kernel"], [[1, 0], [0, 0], [0, 0]])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_half_precision(dtype):
    dense = keras.Sequential([keras.Input((6,)), layers.Dense(10, dtype=dtype)])
    model = keras_snn.sparsify(dense, 0.0)
    prune_magnitude(model, 0.5)
    assert keras_snn.sparsity(model) == 0.5
    (masked,) = masked_weights(model).values()
    kernel = np.abs(masked.weight_array().astype("float32"))
    mask = masked.mask_array()
    assert not kernel[~mask].any() and kernel[mask].all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1.0}, r"`sparsity` must be in \[0, 1\).*1.0"),
        ({"sparsity": -0.5}, r"`sparsity` must be in \[0, 1\).*-0.5"),
        ({"sparsity": 0.95}, "at least one weight of each tensor"),
        ({"sparsity": 0.95, "scope": "layer"}, "leave every layer at least"),
        ({"sparsity": 0.5, "scope": "all"}, "`scope` must be one of.*'all'"),
        ({"sparsity": 0.5, "distribution": "x"}, "`distribution` must be.*'x'"),
        (
            {"sparsity": 0.5, "distribution": {"c": 0}},
            "name masked layers.*'c'",
        ),
        ({"sparsity": 0.2}, "at least that of the model.*10 weights to keep"),
        (
            {"sparsity": 0.4, "distribution": {"a": 0.0}},
            "at least that of the model.*'?a/kernel'?",
        ),
    ],
)
def test_nothing_changes_on_wrong_arguments(arguments, message):
    model = model_of(0.4)
    before = [w.numpy() for w in model.weights]
    with pytest.raises(ValueError, match=message):
        prune_magnitude(model, **arguments)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_weight_that_is_nan_is_named_and_nothing_changes(scope):
    model = model_of()
    kernel = masked_weights(model)["b/kernel"].weight
    kernel.assign(np.where(B == B.max(), np.nan, B))
    with pytest.raises(ValueError, match="NaN or infinite.*'b/kernel'"):
        prune_magnitude(model, 0.5, scope=scope)
    assert keras_snn.sparsity(model) == 0


def test_a_model_without_masks():
    dense = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="keras_snn.sparsify"):
        prune_magnitude(dense, 0.5)


@pytest.mark.parametrize("sparsity", [0.8, 0.9])
def test_blocks_need_whole_active_blocks_to_choose_from(sparsity):
    dense = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8), layers.Dense(8)]
    )
    model = keras_snn.sparsify(dense, 0.5, seed=1)
    before = get_masks(model)
    blocks = keras_snn.patterns.Blocks((4, 1))
    with pytest.raises(ValueError, match="Pruning only removes|in each tensor"):
        prune_magnitude(model, sparsity, pattern=blocks)
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, before[path])


def test_a_depthwise_output_has_a_fan_in_of_its_own():
    inputs = keras.Input((8, 8, 8))
    outputs = layers.DepthwiseConv2D(3, name="depthwise")(inputs)
    model = keras_snn.sparsify(
        keras.Model(inputs, outputs),
        5 / 9,
        "uniform",
        include="depthwise",
        pattern=keras_snn.patterns.ConstantFanIn(),
    )
    (mask,) = get_masks(model).values()
    np.testing.assert_array_equal(mask.sum((0, 1)), np.full((8, 1), 4))
