"""GraSP's scores by hand, and what it needs."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import get_masks
from keras_snn import grasp
from keras_snn.masking.mask_state import masked_weights
from keras_snn.oneshot.grasp import flow_kept

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")
CLASSES = RNG.integers(0, 3, 8)


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
            layers.Dense(10, activation="tanh", name="first"),
            *more,
            layers.Dense(3, name="last"),
        ]
    )
    return keras_snn.sparsify(dense, sparsity, seed=2)


@pytest.mark.parametrize("sparsity", [0.0, 0.4])
def test_the_score_of_a_linear_model_by_hand(sparsity):
    """The Hessian of the mean squared error is X'X, for each output."""
    model = linear(sparsity)
    (masked,) = masked_weights(model).values()
    weight, active = masked.weight_array().copy(), masked.mask_array().copy()
    gradient = X.T @ (X @ weight - Y) * 2 / Y.size * active
    expected = weight * (X.T @ X @ gradient * 2 / Y.size)
    scores = flow_kept(model, masked_weights(model), X, Y, "mse")
    np.testing.assert_allclose(
        scores["layer/kernel"], expected, rtol=1e-3, atol=1e-6
    )
    masks = grasp(model, X, Y, 0.75, loss="mse")
    threshold = np.sort(expected[active])[-3]
    np.testing.assert_array_equal(
        masks["layer/kernel"], active & (expected >= threshold)
    )
    np.testing.assert_array_equal(
        get_masks(model)["layer/kernel"], masks["layer/kernel"]
    )


def test_the_score_is_half_the_change_of_the_gradient_norm():
    """By finite differences, of weights shrunk a little."""
    from keras_snn.gradients.of_loss import loss_gradients

    model = deep()
    weights = masked_weights(model)
    variables = [m.weight for m in weights.values()]

    def flow(at=None):
        gradients = loss_gradients(model, variables, X, Y, "mse", at=at)
        return sum(float((g.astype("float64") ** 2).sum()) for g in gradients)

    scores = flow_kept(model, weights, X, Y, "mse")
    for path, masked in weights.items():
        index = np.unravel_index(
            np.abs(scores[path]).argmax(), scores[path].shape
        )
        changes = []
        for factor in (0.99, 1.01):
            value = masked.weight_array().copy()
            value[index] *= factor
            changes.append(flow([(masked.weight, value)]))
        slope = (changes[1] - changes[0]) / 0.02
        assert scores[path][index] == pytest.approx(slope / 2, rel=0.02)


def test_temperature_divides_logits_and_nothing_else():
    model = deep()
    weights = masked_weights(model)
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def scores(loss, y=CLASSES, **arguments):
        kept = flow_kept(model, weights, X, y, loss, **arguments)
        return np.concatenate([score.ravel() for score in kept.values()])

    def at_200(y, outputs):
        return logits(y, outputs / 200)

    np.testing.assert_allclose(scores(logits), scores(at_200), rtol=1e-4)
    np.testing.assert_array_equal(
        scores("mse", Y), scores("mse", Y, temperature=1)
    )
    assert (scores(logits) != scores(logits, temperature=1)).any()
    model.compile("sgd", logits)
    np.testing.assert_allclose(scores(None), scores(logits), rtol=1e-4)


def test_nothing_but_masks_changes():
    model = deep(layers.BatchNormalization(), layers.Dropout(0.5, seed=1))
    model.compile("adam", "mse")
    weights = masked_weights(model)
    taken = {id(m.weight) for m in weights.values()}
    taken |= {id(m.mask) for m in weights.values()}
    rest = [v for v in model.variables if id(v) not in taken]
    values = [np.array(v.numpy()) for v in rest]
    before = {p: m.weight_array().copy() for p, m in weights.items()}
    masks = grasp(model, X, Y, 0.5)
    for path, masked in weights.items():
        np.testing.assert_array_equal(
            masked.weight_array(), before[path] * masks[path]
        )
    for variable, value in zip(rest, values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert keras_snn.sparsity(model) == 0.5


def test_convolutions_pooling_and_batch_norm_have_two_derivatives():
    dense = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    model = keras_snn.sparsify(dense, 0.0)
    images = RNG.normal(size=(6, 8, 8, 2)).astype("float32")
    grasp(model, images, Y[:6], 0.5, loss="mse")
    assert keras_snn.sparsity(model) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": None}, "compile the model, or pass `loss`.*not compiled"),
        ({"sparsity": 1.0}, r"`sparsity` must be in \[0, 1\)"),
        ({"sparsity": 0.2}, "at least that of the model"),
        ({"temperature": 0}, "`temperature` must be > 0"),
        ({"x": None}, r"must be one batch.*lengths \[0, 8\]"),
        ({"x": X[:, :3]}, r"hold what the model takes.*\(8, 3\).*\(None, 4\)"),
        ({"y": Y[:3]}, r"must be one batch.*lengths \[3, 8\]"),
        ({"y": Y * np.nan}, "NaN or infinite.*'first/kernel'"),
    ],
)
def test_nothing_changes_on_wrong_arguments(arguments, message):
    model = deep(sparsity=0.4)
    before = [np.array(v.numpy()) for v in model.variables]
    arguments = {"x": X, "y": Y, "sparsity": 0.6, "loss": "mse", **arguments}
    with pytest.raises(ValueError, match=message):
        grasp(model, **arguments)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
