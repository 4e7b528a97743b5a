"""Channels of layers with groups, and of recurrent layers."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_snn import get_masks
from keras_snn import prune_channels
from keras_snn import set_masks
from keras_snn import sparsify
from keras_snn import strip

pytestmark = pytest.mark.usefixtures("drawn_by_numpy")

RNG = np.random.default_rng(0)


def trained(model):
    """The model with biases and scales as training leaves them."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if "kernel" not in weight.name:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def without(model, unread=(), unwritten=()):
    """The model and the smaller one, some slices of kernels masked.

    Args:
        model: A dense model.
        unread: Pairs of a path and inputs that the kernel does not read.
        unwritten: Pairs of a path and outputs that it does not compute.
    """
    sparse = sparsify(trained(model), 0.0)
    masks = get_masks(sparse)
    for path, places in unread:
        masks[path][..., places, :] = False
    for path, places in unwritten:
        masks[path][..., places] = False
    set_masks(sparse, masks)
    return sparse, strip(sparse, shrink=True)


def assert_same_outputs(one, other):
    x = RNG.normal(size=(3, *one.input_shape[1:])).astype("float32")
    expected, found = one.predict_on_batch(x), other.predict_on_batch(x)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found / scale, expected / scale, atol=2e-5)


def widths(model, *names):
    found = [model.get_layer(name) for name in names]
    return [getattr(f, "filters", getattr(f, "units", None)) for f in found]


def grouped(*between):
    return keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            layers.Conv2D(8, 1, name="a"),
            *between,
            layers.Conv2D(4, 1, name="b"),
        ]
    )


def test_group_norm_loses_whole_groups():
    """Of 4 groups of 2: one is read in part, and one has one constant."""
    norm = layers.GroupNormalization(4, name="norm")
    model = grouped(norm, layers.ReLU())
    with pytest.warns(UserWarning, match="1 before 'norm', in groups"):
        sparse, small = without(
            model,
            unread=[("b/kernel", [0, 1, 2])],
            unwritten=[("a/kernel", [4, 5, 6])],
        )
    assert widths(small, "a") == [4]
    assert small.get_layer("norm").groups == 2
    assert_same_outputs(sparse, small)


def test_layer_norm_keeps_what_is_constant():
    model = grouped(layers.LayerNormalization(name="norm"))
    with pytest.warns(UserWarning, match="3 before 'norm', which mixes"):
        sparse, small = without(model, unwritten=[("a/kernel", [4, 5, 6])])
    assert widths(small, "a") == [8]
    assert_same_outputs(sparse, small)


GROUPS = {
    "as many of each": ([1, 3, 4, 6], [0, 4, 8, 9], [4, 8, 4]),
    "as many as the most": ([1, 4], [0, 2, 5, 6, 8, 9, 10], [8, 8, 4]),
    "a group unread": ([], [0, 1, 2, 6], [6, 9, 3]),
    "a group of constants": ([6, 7], [0, 4, 8], [6, 6, 3]),
}


@pytest.mark.once
@pytest.mark.parametrize("kind", GROUPS)
def test_groups_of_a_convolution_stay_alike(kind):
    """4 groups, of 2 inputs and 3 outputs each."""
    gone, unread, (inputs, outputs, groups) = GROUPS[kind]
    model = grouped(
        layers.Conv2D(12, 3, groups=4, activation="relu", name="grouped")
    )
    sparse, small = without(
        model,
        unread=[("b/kernel", unread)],
        unwritten=[("a/kernel", gone)],
    )
    assert widths(small, "a", "grouped") == [inputs, outputs]
    assert small.get_layer("grouped").groups == groups
    assert_same_outputs(sparse, small)


def test_pruning_takes_whole_groups():
    model = grouped(
        layers.Conv2D(12, 3, groups=4, name="grouped"),
        layers.GroupNormalization(6, name="norm"),
    )
    sparse = sparsify(trained(model), 0.0)
    prune_channels(sparse, 0.5)
    small = strip(sparse, shrink=True)
    assert widths(small, "a", "grouped") == [4, 6]
    assert small.get_layer("grouped").groups == 2
    assert small.get_layer("norm").groups == 3
    assert_same_outputs(sparse, small)


def series(recurrent):
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.Dense(6, name="a"),
            recurrent,
            layers.Dense(2, name="head"),
        ]
    )


KERNELS = ("kernel", "recurrent_kernel")
RECURRENT = {
    "simple": lambda: layers.SimpleRNN(6, name="r"),
    "lstm": lambda: layers.LSTM(6, use_bias=False, name="r"),
    "gru": lambda: layers.GRU(6, return_sequences=True, name="r"),
    "other gru": lambda: layers.GRU(6, reset_after=False, name="r"),
}


@pytest.mark.parametrize("kind", RECURRENT)
def test_units_unread_or_zero_and_constant_inputs(kind):
    """Unit 2 reads unit 1, and both no input: they never leave 0."""
    model = trained(series(RECURRENT[kind]()))
    cell = model.get_layer("r").cell
    if cell.bias is not None:
        values = cell.bias.numpy()
        values.reshape(-1, 6)[:, 1:3] = 0
        cell.bias.assign(values)
    sparse = sparsify(model, 0.0)
    masks = get_masks(sparse)
    masks["a/kernel"][:, [0, 2, 3]] = False
    for path in (f"r/{cell.name}/{name}" for name in KERNELS):
        columns = masks[path].reshape(len(masks[path]), -1, 6)[..., 1:3]
        columns[:] = False
    columns[1, :, 1] = True
    masks["head/kernel"][4] = masks[path][4] = False
    set_masks(sparse, masks)
    small = strip(sparse, shrink=True)
    assert widths(small, "a", "r") == [3, 3]
    assert_same_outputs(sparse, small)


@pytest.mark.parametrize(
    "merge_mode", ["concat", pytest.param("sum", marks=pytest.mark.once)]
)
def test_both_directions_are_pruned(merge_mode, tmp_path):
    model = series(
        layers.Bidirectional(
            layers.LSTM(6, return_sequences=True), merge_mode, name="both"
        )
    )
    sparse = sparsify(trained(model), 0.0)
    prune_channels(sparse, 0.5, scope="global")
    small = strip(sparse, shrink=True)
    assert small.count_params() < 0.5 * model.count_params()
    assert_same_outputs(sparse, small)
    small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    assert_same_outputs(small, loaded)
