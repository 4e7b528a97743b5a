"""SynFlow's scores by hand, conservation, and deep networks."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import get_masks
from keras_snn import snip
from keras_snn import synflow
from keras_snn.masking.mask_state import masked_weights
from keras_snn.oneshot.synflow import _Flow
from keras_snn.oneshot.synflow import _ones

RNG = np.random.default_rng(0)
A = np.array([[1.0, -2.0], [-3.0, 0.5]], "float32")
B = np.array([[-1.0], [4.0]], "float32")


def chain(sparsity=0.0, activation="relu"):
    dense = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(2, use_bias=False, activation="relu", name="a"),
            layers.Dense(1, use_bias=False, activation=activation, name="b"),
        ]
    )
    dense.set_weights([A, B])
    return keras_snn.sparsify(dense, sparsity, seed=1)


def vgg():
    """Narrow and deep, as where SNIP fails."""
    keras.utils.set_random_seed(4)
    blocks = [keras.Input((8, 8, 3))]
    for index in range(8):
        blocks += [
            layers.Conv2D(
                16, 3, padding="same", kernel_initializer="he_normal"
            ),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
        if index in (1, 4):
            blocks.append(layers.MaxPooling2D())
    blocks += [layers.GlobalAveragePooling2D(), layers.Dense(10)]
    return keras_snn.sparsify(keras.Sequential(blocks), 0.0)


def flow_of(model):
    flow = _Flow(model, masked_weights(model), _ones(model))
    return flow(get_masks(model))


def test_scores_of_a_chain_by_hand():
    total, scores = flow_of(chain())
    columns, ends = np.abs(A).sum(0), np.abs(B[:, 0])
    assert total == pytest.approx(columns @ ends)  # 4 * 1 + 2.5 * 4
    np.testing.assert_allclose(
        scores["a/kernel"], np.abs(A) * ends / total, rtol=1e-5
    )
    np.testing.assert_allclose(
        scores["b/kernel"][:, 0], columns * ends / total, rtol=1e-5
    )


def test_rounds_of_a_chain_by_hand():
    """One weight goes in each, of flows a and b:

    [[1, 8], [3, 2]], [4, 10];  [[-, 8], [3, 2]], [3, 10];
    [[-, 8], [3, -]], [3, 8], where the second 3 comes later.
    """
    masks = synflow(chain(), 0.5, rounds=3)
    np.testing.assert_array_equal(masks["a/kernel"], [[0, 1], [1, 0]])
    np.testing.assert_array_equal(masks["b/kernel"], [[0], [1]])


def test_one_round_scores_once():
    _, scores = flow_of(chain())
    masks = synflow(chain(), 0.5, rounds=1)
    joined = np.concatenate([score.ravel() for score in scores.values()])
    threshold = np.sort(joined)[-3]
    for path, mask in masks.items():
        np.testing.assert_array_equal(mask, scores[path] >= threshold)


def test_flow_is_conserved_from_layer_to_layer():
    _, scores = flow_of(vgg())
    for score in scores.values():
        assert score.sum() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("sparsity", [0.98, 0.99])
def test_no_layer_is_cut_where_snip_nearly_cuts_some(sparsity):
    """Maximal critical compression: what is left still conducts."""
    model = vgg()
    masks = synflow(model, sparsity, rounds=20)
    assert min(mask.sum() for mask in masks.values()) > 10
    total, scores = flow_of(model)
    assert total > 0
    for path, mask in masks.items():
        assert (scores[path][mask] > 0).mean() > 0.8
    x = RNG.normal(size=(16, 8, 8, 3)).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    snipped = snip(vgg(), x, RNG.integers(0, 10, 16), sparsity, loss=loss)
    assert min(mask.sum() for mask in snipped.values()) <= 4


def test_nothing_but_masks_changes_and_the_budget_is_met():
    model = vgg()
    weights = masked_weights(model)
    taken = {id(m.weight) for m in weights.values()}
    taken |= {id(m.mask) for m in weights.values()}
    rest = [v for v in model.variables if id(v) not in taken]
    values = [np.array(v.numpy()) for v in rest]
    before = {p: m.weight_array().copy() for p, m in weights.items()}
    masks = synflow(model, 0.9, rounds=3)
    size = sum(mask.size for mask in masks.values())
    assert sum(mask.sum() for mask in masks.values()) == round(0.1 * size)
    for path, masked in weights.items():
        np.testing.assert_array_equal(
            masked.weight_array(), before[path] * masks[path]
        )
    for variable, value in zip(rest, values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def deep(factor):
    keras.utils.set_random_seed(3)
    dense = keras.Sequential(
        [keras.Input((6,))]
        + [layers.Dense(6, activation="relu") for _ in range(12)]
        + [layers.Dense(3)]
    )
    model = keras_snn.sparsify(dense, 0.0)
    for masked in masked_weights(model).values():
        masked.weight.assign(masked.weight.value * factor)
    return model


@pytest.mark.parametrize("exponent", [14, -14])
def test_where_the_flow_leaves_float32_masks_are_the_same(exponent):
    expected = synflow(deep(1.0), 0.8, rounds=3)
    model = deep(2.0**exponent)
    total, _ = flow_of(model)
    assert not 1e-38 < total < 3e38
    masks = synflow(model, 0.8, rounds=3)
    for mask, other in zip(masks.values(), expected.values(), strict=True):
        np.testing.assert_array_equal(mask, other)


def test_a_network_that_is_sparse_loses_active_weights_alone():
    model = vgg()
    keras_snn.prune_random(model, 0.5)
    before = get_masks(model)
    masks = synflow(model, 0.9, rounds=3)
    for path, mask in masks.items():
        assert not (mask & ~before[path]).any()
    assert keras_snn.sparsity(model) == pytest.approx(0.9, abs=1e-3)


def test_inputs_of_other_kinds():
    ids = keras.Input((5,), dtype="int32", name="ids")
    extra = keras.Input((3,), name="extra")
    x = layers.Flatten()(layers.Embedding(7, 4)(ids))
    x = layers.Dense(6, activation="relu")(layers.Concatenate()([x, extra]))
    outputs = {"one": layers.Dense(2)(x), "two": layers.Dense(3)(x)}
    model = keras.Model({"ids": ids, "extra": extra}, outputs)
    model = keras_snn.sparsify(model, 0.0)
    with pytest.raises(ValueError, match="pass `x`.*x=None"):
        synflow(model, 0.5)
    batch = {
        "ids": np.arange(10).reshape(2, 5) % 7,
        "extra": np.ones((2, 3), "float32"),
    }
    synflow(model, 0.5, rounds=2, x=batch)
    assert keras_snn.sparsity(model) == pytest.approx(0.5, abs=0.01)


def test_a_subclassed_model():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(5), layers.Dense(3)

        def call(self, inputs):
            return self.last(keras.ops.relu(self.first(inputs)))

    model = Own()
    model(np.ones((1, 4), "float32"))
    model = keras_snn.sparsify(model, 0.0)
    with pytest.raises(ValueError, match="pass `x`.*unknown"):
        synflow(model, 0.5)
    synflow(model, 0.5, rounds=2, x=np.ones((1, 4), "float32"))
    assert keras_snn.sparsity(model) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_an_output_that_is_held_fixed_is_refused(activation):
    keras.utils.set_random_seed(3)
    dense = keras.Sequential(
        [keras.Input((6,))]
        + [layers.Dense(30, activation="relu") for _ in range(4)]
        + [layers.Dense(3, activation=activation)]
    )
    model = keras_snn.sparsify(dense, 0.0)
    with pytest.raises(ValueError, match="end the model in logits.*sum up to"):
        synflow(model, 0.5)
    assert keras_snn.sparsity(model) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1.0}, r"`sparsity` must be in \[0, 1\)"),
        ({"sparsity": 0.1}, "at least that of the model"),
        ({"sparsity": 0.9}, "at least one weight of each tensor"),
        ({"sparsity": 0.6, "rounds": 0}, "`rounds` must be an int >= 1"),
        (
            {"sparsity": 0.6, "x": np.ones((1, 3))},
            r"hold what the model takes.*\(1, 3\).*\(None, 2\)",
        ),
    ],
)
def test_nothing_changes_on_wrong_arguments(arguments, message):
    model = chain(1 / 3)
    before = [np.array(v.numpy()) for v in model.variables]
    with pytest.raises(ValueError, match=message):
        synflow(model, **arguments)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_weight_that_is_nan_is_named():
    model = chain()
    masked_weights(model)["b/kernel"].weight.assign(B * np.nan)
    with pytest.raises(ValueError, match="NaN or infinite.*'b/kernel'"):
        synflow(model, 0.5)
    assert keras_snn.sparsity(model) == 0
