"""Channel pruning by hand, and against PyTorch's."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import get_masks
from keras_snn import prune_channels
from keras_snn import sparsify
from keras_snn.masking.mask_state import masked_weights

pytestmark = pytest.mark.usefixtures("drawn_by_numpy")

A = np.array([[1.0, -2.0, 0.5, 0.1], [0.5, 0.0, -2.4, 0.2]], "float32")
B = np.array([[0.1, 9.0], [0.2, -9.0], [0.3, 9.0], [0.4, -9.0]], "float32")


def model_of():
    """Two layers; units of the first have L1 norms 1.5, 2, 2.9 and .3."""
    dense = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(4, use_bias=False, name="a"),
            layers.Dense(2, use_bias=False, name="b"),
        ]
    )
    dense.set_weights([A, B])
    return sparsify(dense, 0.0)


def deep(first=6, second=8):
    dense = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(first, 3, name="a"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(second, 3, name="b"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="c"),
        ]
    )
    return sparsify(dense, 0.0)


def test_the_smallest_filters_go_with_all_that_reads_them():
    model = model_of()
    masks = prune_channels(model, 0.5)
    np.testing.assert_array_equal(masks["a/kernel"], [[0, 1, 1, 0]] * 2)
    np.testing.assert_array_equal(
        masks["b/kernel"], [[0, 0], [1, 1], [1, 1], [0, 0]]
    )
    for path, weight in (("a/kernel", A), ("b/kernel", B)):
        np.testing.assert_array_equal(get_masks(model)[path], masks[path])
        np.testing.assert_array_equal(
            masked_weights(model)[path].weight_array(), weight * masks[path]
        )
    assert keras_snn.sparsity(model) == 0.5


@pytest.mark.parametrize(("norm", "best"), [("l1", 0), ("l2", 2)])
def test_norms_differ(norm, best):
    """Of units with L1 norms 2, 1.1, 1.9, .2 and L2 1.4, 1.1, 1.9, .14."""
    model = model_of()
    kernel = [[1.0, 1.1, 0.0, 0.1], [1.0, 0.0, 1.9, 0.1]]
    masked_weights(model)["a/kernel"].weight.assign(kernel)
    mask = prune_channels(model, 0.75, norm=norm)["a/kernel"]
    np.testing.assert_array_equal(np.flatnonzero(mask.any(0)), best)


def test_norms_are_summed_where_branches_are_added():
    inputs = keras.Input((2,))
    branches = [
        layers.Dense(3, use_bias=False, name=name)(inputs) for name in "ab"
    ]
    x = layers.Add()(branches)
    dense = keras.Model(inputs, layers.Dense(2, use_bias=False, name="c")(x))
    a = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], "float32")
    b = np.array([[2.5, 1.0, 0.25], [0.5, 0.5, 0.0]], "float32")
    dense.set_weights([a, b, np.ones((3, 2))])  # Sums: 4, 3.5, 3.25.
    masks = prune_channels(sparsify(dense, 0.0), 0.34)
    for name in "ab":
        np.testing.assert_array_equal(masks[f"{name}/kernel"], [[1, 1, 0]] * 2)
    np.testing.assert_array_equal(masks["c/kernel"], [[1, 1], [1, 1], [0, 0]])


def test_the_global_scope_takes_from_the_layer_that_can_spare_it():
    dense = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(4, use_bias=False, name="a"),
            layers.Dense(4, use_bias=False, name="b"),
            layers.Dense(2, use_bias=False, name="c"),
        ]
    )
    even = np.tile([10.0, 10.0, 10.0, 11.0], (2, 1))
    uneven = np.tile([0.01, 0.03, 0.01, 0.01], (4, 1))
    dense.set_weights([even, uneven, np.ones((4, 2))])
    masks = prune_channels(sparsify(dense, 0.0), 3 / 8, scope="global")
    assert masks["a/kernel"].any(0).tolist() == [True] * 4
    assert masks["b/kernel"].any(0).tolist() == [False, True, False, False]


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 0.99])
def test_counts(fraction, scope):
    model = deep()
    masks = prune_channels(model, fraction, scope=scope)
    a, b = (masks[f"{name}/kernel"].any((0, 1, 2)) for name in "ab")
    if scope == "layer":
        assert a.sum() == max(1, round((1 - fraction) * 6))
        assert b.sum() == max(1, round((1 - fraction) * 8))
    else:
        assert a.sum() + b.sum() == max(2, round((1 - fraction) * 14))
        assert a.any() and b.any()
    assert masks["c/kernel"].any(0).all()
    # Whole channels, both where they are computed and where they are read.
    np.testing.assert_array_equal(
        masks["a/kernel"], np.broadcast_to(a, (3, 3, 3, 6))
    )
    np.testing.assert_array_equal(
        masks["b/kernel"],
        np.broadcast_to(a[:, None] & b[None, :], (3, 3, 6, 8)),
    )
    np.testing.assert_array_equal(
        masks["c/kernel"], np.broadcast_to(b[:, None], (8, 3))
    )


def test_rounds_of_pruning_are_nested():
    model = deep()
    before = get_masks(model)
    for fraction in (0.2, 0.5, 0.5, 0.7):
        after = prune_channels(model, fraction)
        for path, mask in after.items():
            assert not (mask & ~before[path]).any()
        before = after
    assert before["a/kernel"].any((0, 1, 2)).sum() == 2


@pytest.mark.parametrize(("norm", "order"), [("l1", 1), ("l2", 2)])
def test_pytorch_prunes_the_same_filters(norm, order):
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune

    model = deep(10, 12)
    kernels = [m.weight_array() for m in masked_weights(model).values()]
    masks = list(prune_channels(model, 0.5, norm=norm).values())
    alive = np.ones(3, bool)
    for kernel, mask in list(zip(kernels, masks, strict=True))[:2]:
        filters = kernel.shape[-1]
        module = torch.nn.Conv2d(kernel.shape[2], filters, 3)
        with torch.no_grad():
            module.weight.copy_(torch.tensor(kernel.transpose(3, 2, 0, 1)))
        prune.ln_structured(module, "weight", filters // 2, order, dim=0)
        theirs = module.weight_mask.detach().cpu().numpy().astype(bool)
        theirs = theirs.transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(mask, theirs & alive[:, None])
        alive = mask.any((0, 1, 2))


def test_a_layer_that_is_not_masked_keeps_its_channels():
    dense = keras.Sequential(
        [keras.Input((2,))]
        + [layers.Dense(4, name=name) for name in ("a", "b", "c", "d")]
    )
    model = sparsify(dense, 0.0, exclude="d")
    masks = prune_channels(model, 0.5)
    assert list(masks) == ["a/kernel", "b/kernel", "c/kernel"]
    assert [mask.any(0).sum() for mask in masks.values()] == [2, 2, 4]


def test_masks_that_were_there_stay():
    model = deep()
    keras_snn.prune_random(model, 0.5)
    before = get_masks(model)
    masks = prune_channels(model, 0.5)
    for path, mask in masks.items():
        assert not (mask & ~before[path]).any()
    assert masks["a/kernel"].any((0, 1, 2)).sum() == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fraction": 1.0}, r"`fraction` must be in \[0, 1\).*1.0"),
        ({"fraction": -0.1}, r"`fraction` must be in \[0, 1\).*-0.1"),
        ({"fraction": 0.5, "norm": "l3"}, "`norm` must be one of.*'l3'"),
        ({"fraction": 0.5, "scope": "all"}, "`scope` must be one of.*'all'"),
    ],
)
def test_nothing_changes_on_wrong_arguments(arguments, message):
    model = model_of()
    before = [w.numpy() for w in model.weights]
    with pytest.raises(ValueError, match=message):
        prune_channels(model, **arguments)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_a_model_where_nothing_can_go():
    only_outputs = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="only between masked.*no channel"):
        prune_channels(sparsify(only_outputs, 0.0), 0.5)
    with pytest.raises(ValueError, match="keras_snn.sparsify"):
        prune_channels(only_outputs, 0.5)


def test_a_weight_that_is_nan_is_named_and_nothing_changes():
    model = model_of()
    kernel = masked_weights(model)["a/kernel"].weight
    kernel.assign(np.where(A == A.max(), np.nan, A))
    with pytest.raises(ValueError, match="NaN or infinite.*'a/kernel'"):
        prune_channels(model, 0.5)
    assert keras_snn.sparsity(model) == 0
