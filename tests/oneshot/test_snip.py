"""SNIP's scores by hand, and what it needs."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import get_masks
from keras_snn import snip
from keras_snn.masking.mask_state import masked_weights
from keras_snn.oneshot.in_batches import batches_of
from keras_snn.oneshot.in_batches import mean_over
from keras_snn.oneshot.snip import sensitivity

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")


def linear(sparsity=0.0):
    keras.utils.set_random_seed(4)
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, use_bias=False, name="layer")]
    )
    return keras_snn.sparsify(dense, sparsity)


def deep(*more, sparsity=0.0):
    keras.utils.set_random_seed(4)
    dense = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(10, activation="relu", name="first"),
            *more,
            layers.Dense(3, name="last"),
        ]
    )
    return keras_snn.sparsify(dense, sparsity, seed=2)


def by_hand(model):
    """|w * dL/dw| of the mean squared error of a linear model."""
    (masked,) = masked_weights(model).values()
    weight = masked.weight_array()
    gradient = X.T @ (X @ weight - Y) * 2 / Y.size
    return np.abs(weight * gradient) * masked.mask_array()


def state(model):
    variables = model.variables + model.metrics_variables
    return [np.array(v.numpy()) for v in variables]


@pytest.mark.parametrize("sparsity", [0.0, 0.4])
@pytest.mark.parametrize(
    "loss", ["mse", keras.losses.MeanSquaredError(), "compiled"]
)
def test_the_score_of_a_linear_model_by_hand(loss, sparsity):
    model = linear(sparsity)
    if loss == "compiled":
        model.compile("sgd", "mse")
        loss = None
    scores = sensitivity(model, masked_weights(model), X, Y, loss)
    expected = by_hand(model)
    np.testing.assert_allclose(scores["layer/kernel"], expected, rtol=1e-4)

    masks = snip(model, X, Y, 0.75, loss=loss)
    threshold = np.sort(expected.ravel())[-3]
    np.testing.assert_array_equal(masks["layer/kernel"], expected >= threshold)
    np.testing.assert_array_equal(
        get_masks(model)["layer/kernel"], masks["layer/kernel"]
    )


def test_the_initialisation_stays_and_nothing_else_moves():
    model = deep(layers.BatchNormalization(), layers.Dropout(0.5, seed=1))
    model.compile("adam", "mse", metrics=["mae"])
    before = {
        path: m.weight_array() for path, m in masked_weights(model).items()
    }
    before = {path: weight.copy() for path, weight in before.items()}
    masked = {id(m.weight) for m in masked_weights(model).values()}
    masked |= {id(m.mask) for m in masked_weights(model).values()}
    rest = [v for v in model.variables if id(v) not in masked]
    values = [np.array(v.numpy()) for v in rest]
    masks = snip(model, X, Y, 0.5)
    for path, each in masked_weights(model).items():
        np.testing.assert_array_equal(
            each.weight_array(), before[path] * masks[path]
        )
    for variable, value in zip(rest, values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert keras_snn.sparsity(model) == 0.5


def test_ratios_only_keeps_counts_and_draws_positions():
    scored = snip(deep(), X, Y, 0.6, loss="mse")
    drawn = snip(deep(), X, Y, 0.6, loss="mse", ratios_only=True)
    again = snip(deep(), X, Y, 0.6, loss="mse", ratios_only=True)
    other = snip(deep(), X, Y, 0.6, loss="mse", ratios_only=True, seed=1)
    for path, mask in drawn.items():
        assert mask.sum() == scored[path].sum()
        assert (mask != scored[path]).any()
        assert (mask != other[path]).any()
        np.testing.assert_array_equal(mask, again[path])


def test_ratios_only_of_a_sparse_model_draws_among_the_active():
    model = deep(sparsity=0.4)
    before = get_masks(model)
    masks = snip(model, X, Y, 0.7, loss="mse", ratios_only=True)
    for path, mask in masks.items():
        assert not (mask & ~before[path]).any()
    assert keras_snn.sparsity(model) == pytest.approx(0.7)


@keras.saving.register_keras_serializable(package="snip_tests")
class Penalty(layers.Layer):
    def call(self, inputs):
        self.add_loss(ops.mean(ops.square(inputs)))
        return inputs


def test_losses_of_the_model_leave_the_score_of_the_loss():
    plain = deep()
    expected = sensitivity(plain, masked_weights(plain), X, Y, "mse")
    model = deep(Penalty(), layers.Activation("linear"))
    model.layers[-1].layer.get_layer("first").kernel_regularizer = "l2"
    model.compile("sgd", "mse")
    model(X)  # Leaves a loss behind.
    scores = sensitivity(model, masked_weights(model), X, Y)
    for path, score in scores.items():
        np.testing.assert_allclose(score, expected[path], rtol=1e-4, atol=1e-7)


def test_several_outputs_with_a_compiled_loss_each():
    keras.utils.set_random_seed(4)
    inputs = keras.Input((4,))
    x = layers.Dense(6, name="body")(inputs)
    outputs = {"a": layers.Dense(3)(x), "b": layers.Dense(1)(x)}
    model = keras_snn.sparsify(keras.Model(inputs, outputs), 0.0)
    model.compile(
        "sgd", {"a": "mse", "b": "mae"}, loss_weights={"a": 2, "b": 1}
    )
    y = {"a": Y, "b": Y[:, :1]}
    snip(model, X, y, 0.5)
    assert keras_snn.sparsity(model) == 0.5
    loss = model.fit(X, y, epochs=1, verbose=0).history["loss"]
    assert np.isfinite(loss).all()


def test_mixed_precision():
    model = keras_snn.sparsify(
        keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(6, dtype="mixed_bfloat16"),
                layers.Dense(3, dtype="mixed_bfloat16"),
            ]
        ),
        0.0,
    )
    snip(model, X, Y, 0.5, loss="mse")
    assert keras_snn.sparsity(model) == 0.5


def test_a_subclassed_model():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(5), layers.Dense(3)

        def call(self, inputs, training=None):
            return self.last(ops.relu(self.first(inputs)))

    model = Own()
    model(X)
    sparse = keras_snn.sparsify(model, 0.0)
    sparse.compile("sgd", "mse")
    snip(sparse, X, Y, 0.5)
    assert keras_snn.sparsity(sparse) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": None}, "compile the model, or pass `loss`.*not compiled"),
        ({"sparsity": 1.0}, r"`sparsity` must be in \[0, 1\)"),
        ({"sparsity": 0.2}, "at least that of the model"),
        ({"sparsity": 0.99}, "at least one weight of each tensor"),
        ({"x": X[:0], "y": Y[:0]}, "must be one batch.*lengths \\[0\\]"),
        ({"y": Y[:3]}, "must be one batch.*lengths \\[3, 8\\]"),
        ({"x": None}, "must be one batch.*lengths \\[0, 8\\]"),
        ({"y": None}, "Without `y`.*must hold batches.*ndarray"),
        ({"x": X[:, :3]}, r"hold what the model takes.*\(8, 3\).*\(None, 4\)"),
        ({"y": Y * np.nan}, "NaN or infinite.*'first/kernel'"),
        ({"ratios_only": True, "seed": -1}, "`seed` must be an int >= 0"),
    ],
)
def test_nothing_changes_on_wrong_arguments(arguments, message):
    model = deep(sparsity=0.4)
    before = state(model)
    arguments = {
        "x": X,
        "y": Y,
        "sparsity": 0.6,
        "loss": "mse",
        **arguments,
    }
    with pytest.raises(ValueError, match=message):
        snip(model, **arguments)
    for value, expected in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_a_model_without_masks():
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="keras_snn.sparsify"):
        snip(dense, X, Y, 0.5, loss="mse")


@pytest.mark.parametrize("batch_size", [2, 3, 8, 20])
def test_batches_are_averaged_by_their_samples(batch_size):
    model = deep()
    weights = masked_weights(model)
    expected = sensitivity(model, weights, X, Y, "mse")
    scores = sensitivity(model, weights, X, Y, "mse", batch_size=batch_size)
    for path, score in scores.items():
        np.testing.assert_allclose(score, expected[path], 1e-4, 1e-7)


def test_batches_of_nested_inputs():
    def sums(x, y):
        return [np.array([len(y), x["a"].sum(), y.sum()])]

    batches = batches_of({"a": np.arange(5.0)}, np.ones(5), 2)
    assert [len(y) for _, y in batches] == [2, 2, 1]
    (mean,) = mean_over(batches, sums)
    shares = np.array([2, 2, 1]) / 5
    np.testing.assert_allclose(
        mean, [shares @ [2, 2, 1], shares @ [1, 5, 4], shares @ [2, 2, 1]]
    )


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, place):
        rows = slice(0, 6) if place == 0 else slice(6, 8)
        return X[rows], Y[rows], np.ones(6)


@pytest.mark.parametrize(
    "batches", [Sequence(), [(X[:6], Y[:6]), [X[6:], Y[6:]]]]
)
@pytest.mark.parametrize("method", [snip, keras_snn.grasp, keras_snn.force])
def test_batches_in_place_of_arrays(batches, method):
    masks = method(deep(), batches, sparsity=0.7, loss="mse")
    expected = method(deep(), X, Y, 0.7, loss="mse")
    for path, mask in masks.items():
        np.testing.assert_array_equal(mask, expected[path])


def test_every_round_begins_the_batches_anew():
    class Shuffled:
        begun = 0

        def __iter__(self):
            self.begun += 1
            return iter([(X[self.begun :], Y[self.begun :])])

    batches = Shuffled()
    snip(deep(), batches, sparsity=0.7, loss="mse", rounds=3)
    assert batches.begun == 3


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X, "must hold batches.*y=None, x of type ndarray"),
        ([], "must hold batches.*list"),
        ([X], "must hold batches.*list"),
        (iter([(X, Y)]), "can be begun anew.*list_iterator"),
    ],
)
def test_without_targets_there_must_be_batches(x, message):
    with pytest.raises(ValueError, match=message):
        snip(deep(), x, sparsity=0.7, loss="mse")


def test_rounds_are_those_of_iter_snip():
    masks = snip(deep(), X, Y, 0.7, loss="mse", rounds=4)
    expected = keras_snn.force(
        deep(), X, Y, 0.7, loss="mse", rounds=4, revive=False
    )
    for path, mask in masks.items():
        np.testing.assert_array_equal(mask, expected[path])


def test_a_layer_collapses_on_request_alone():
    def model_of():
        model = deep()
        first = masked_weights(model)["first/kernel"].weight
        first.assign(first.value / 1000)
        return model

    masks = snip(model_of(), X, Y, 0.9, loss="mse")
    assert masks["first/kernel"].any() and masks["last/kernel"].any()
    model = model_of()
    masks = snip(model, X, Y, 0.99, loss="mse", keep_layers=False)
    assert sum(mask.any() for mask in masks.values()) == 1
    assert keras_snn.sparsity(model) == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize("start", [1, -1])
def test_labels_are_those_of_the_outputs(start):
    model = linear()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    labels = np.arange(8) % 3
    for given in (loss, "sparse_categorical_crossentropy"):
        with pytest.raises(ValueError, match=r"Labels must be in \[0, 3\)"):
            snip(model, X, labels + start, 0.5, loss=given)
    assert keras_snn.sparsity(model) == 0
    ignoring = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-1
    )
    snip(model, X, labels - 1, 0.5, loss=ignoring)


def test_one_hot_labels_are_no_labels():
    model = linear()
    labels = np.arange(8) % 3
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    one_hot = np.eye(3, dtype="float32")[labels]
    with pytest.raises(ValueError, match="one-hot ones need .*shape .8, 3.,"):
        snip(model, X, one_hot, 0.5, loss=loss)
    snip(model, X, labels[:, None], 0.5, loss=loss)
