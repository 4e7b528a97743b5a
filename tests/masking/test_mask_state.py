"""Reading masks, and the one way to change them."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import get_masks
from keras_snn import set_masks
from keras_snn.masking.mask_state import masked_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")


def model_of(sparsity=0.5):
    keras.utils.set_random_seed(5)
    dense = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, name="first"),
            layers.Dense(3, name="last"),
        ]
    )
    return keras_snn.sparsify(dense, sparsity)


def state(model):
    variables = model.variables + getattr(model.optimizer, "variables", [])
    return [v.numpy() for v in variables]


def test_masks_come_back_as_they_were_set():
    model = model_of()
    masks = {
        path: RNG.random(mask.shape) < 0.5
        for path, mask in get_masks(model).items()
    }
    set_masks(model, masks)
    assert list(masks) == ["first/kernel", "last/kernel"]
    for path, mask in get_masks(model).items():
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, masks[path])
    size = sum(mask.size for mask in masks.values())
    kept = sum(mask.sum() for mask in masks.values())
    assert keras_snn.sparsity(model) == 1 - kept / size


def test_masks_that_are_read_are_yours():
    model = model_of(0.0)
    before = get_masks(model)
    keras_snn.prune_random(model, 0.5)
    assert all(mask.all() for mask in before.values())
    after = get_masks(model)
    for mask in after.values():
        mask[:] = True
    assert keras_snn.sparsity(model) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "convert",
    [
        lambda mask: mask.astype(int),
        lambda mask: mask.astype("float32"),
        lambda mask: mask.tolist(),
        ops.convert_to_tensor,
    ],
)
def test_masks_may_be_given_as_numbers_lists_or_tensors(convert):
    model = model_of(0.0)
    mask = RNG.random((6, 3)) < 0.5
    set_masks(model, {"last/kernel": convert(mask)})
    np.testing.assert_array_equal(get_masks(model)["last/kernel"], mask)


def test_what_is_not_named_stays():
    model = model_of()
    before = get_masks(model)["first/kernel"]
    set_masks(model, {"last/kernel": np.ones((6, 3))})
    set_masks(model, {})
    np.testing.assert_array_equal(get_masks(model)["first/kernel"], before)


def test_dropped_and_grown_weights_and_their_slots_restart():
    model = model_of(0.0)
    optimizer = keras.optimizers.Adam(0.1, use_ema=True, amsgrad=True)
    model.compile(optimizer, "mse")
    model.fit(X, Y, epochs=2, verbose=0)
    weight = masked_weights(model)["last/kernel"].weight
    slots = [
        v
        for v in optimizer.variables
        if v.shape == weight.shape and "last" in v.path
    ]
    assert len(slots) == 4  # Momentum, velocity, its maximum, average.
    values = [v.numpy() for v in (weight, *slots)]
    of_weight = {id(slot) for slot in slots}
    others = [v for v in optimizer.variables if id(v) not in of_weight]
    untouched = [v.numpy() for v in others]
    mask = RNG.random((6, 3)) < 0.5
    set_masks(model, {"last/kernel": mask})
    for variable, value in zip((weight, *slots), values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value * mask)
    for variable, value in zip(others, untouched, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)

    set_masks(model, {"last/kernel": ~mask})  # All dropped, the rest grown.
    for variable in (weight, *slots):
        assert not variable.numpy().any()


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adagrad(initial_accumulator_value=0.3),
        lambda: keras.optimizers.Ftrl(initial_accumulator_value=0.3),
    ],
)
def test_accumulators_restart_where_they_started(make):
    model = model_of(0.0)
    model.compile(make(), "mse")
    model.fit(X, Y, epochs=1, verbose=0)
    mask = np.arange(18).reshape(6, 3) % 2 == 0
    set_masks(model, {"last/kernel": mask})
    (accumulator,) = (
        v.numpy()
        for v in model.optimizer.variables
        if v.shape == (6, 3) and "accumulator" in v.path
    )
    assert (accumulator[~mask] == np.float32(0.3)).all()
    assert (accumulator[mask] > 0.3).all()


def test_slots_are_found_inside_other_optimizers():
    model = model_of(0.0)
    inner = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(keras.optimizers.LossScaleOptimizer(inner), "mse")
    model.fit(X, Y, epochs=1, verbose=0)
    mask = np.arange(18).reshape(6, 3) % 2 == 0
    set_masks(model, {"last/kernel": mask})
    (slot,) = (v for v in inner.variables if v.shape == (6, 3))
    assert slot.numpy()[mask].all() and not slot.numpy()[~mask].any()


def test_an_optimizer_of_a_loop_of_your_own():
    model = model_of(0.0)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    variables = model.trainable_variables
    optimizer.apply([ops.ones(v.shape) for v in variables], variables)
    mask = np.arange(18).reshape(6, 3) % 2 == 0
    set_masks(model, {"last/kernel": mask}, optimizer=optimizer)
    (slot,) = (v for v in optimizer.variables if v.shape == (6, 3))
    np.testing.assert_allclose(slot.numpy(), -0.1 * mask)
    with pytest.raises(TypeError, match="must be a Keras optimizer.*'sgd'"):
        set_masks(model, {}, optimizer="sgd")


BAD = {
    "unknown": ({"middle/kernel": np.ones((6, 3))}, "masks.*'middle/kernel'"),
    "shape": ({"last/kernel": np.ones((3, 6))}, r"shape, \(6, 3\).*\(3, 6\)"),
    "values": ({"last/kernel": np.full((6, 3), 2)}, "booleans, or 0 and 1"),
    "nan": ({"last/kernel": np.full((6, 3), np.nan)}, "booleans, or 0 and 1"),
    "empty": ({"last/kernel": np.zeros((6, 3))}, "at least one weight"),
}


@pytest.mark.parametrize("bad", BAD)
def test_nothing_changes_on_a_wrong_mask(bad):
    masks, message = BAD[bad]
    message = message.replace("masks.*", "belong to a masked weight.*")
    model = model_of()
    model.compile("adam", "mse")
    before = state(model)
    good = {"first/kernel": np.eye(4, 6)}
    with pytest.raises(ValueError, match=message):
        set_masks(model, {**good, **masks})
    with pytest.raises(ValueError, match=r"`requested` must be in \[0, 1\)"):
        set_masks(model, good, requested=1.5)
    for value, expected in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_a_model_without_masks_says_what_to_call():
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    for function in (get_masks, keras_snn.sparsity, masked_weights):
        with pytest.raises(ValueError, match="keras_snn.sparsify"):
            function(dense)
    with pytest.raises(ValueError, match="keras_snn.sparsify"):
        set_masks(dense, {})


def test_paths_of_several_wrappers_are_told_apart():
    def part():
        return keras.Sequential(
            [keras.Input((4,)), layers.Dense(4, name="dense")], name="same"
        )

    inputs = keras.Input((4,))
    x = keras_snn.MaskedLayer(part(), name="one")(inputs)
    x = keras_snn.MaskedLayer(part(), name="two")(x)
    model = keras.Model(inputs, x)
    weights = masked_weights(model)
    assert list(weights) == ["dense/kernel", "dense/kernel_2"]
    assert [m.index for m in weights.values()] == [0, 2]
    set_masks(model, {"dense/kernel_2": np.eye(4)})
    assert keras_snn.sparsity(model) == 12 / 32


def test_masks_come_by_path():
    model = model_of()
    masks = list(get_masks(model).values())
    with pytest.raises(TypeError, match="mapping.*Received: a list"):
        set_masks(model, masks)
