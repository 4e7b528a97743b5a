"""Top-KAST against the paper's formulas in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import StraightThroughLayer
from keras_snn import TopKASTUpdate
from keras_snn.masking import keras_private
from keras_snn.masking.mask_state import masked_weights
from keras_snn.patterns import Blocks
from keras_snn.patterns import ConstantFanIn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")
W = RNG.normal(size=(4, 3)).astype("float32")


def linear(optimizer):
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, use_bias=False, name="layer")]
    )
    model = keras_snn.sparsify(dense, 0.0, wrapper=StraightThroughLayer)
    dense.set_weights([W])
    model.compile(optimizer, "mse", run_eagerly=True)
    return model, masked_weights(model)["layer/kernel"]


def largest(weight, count):
    return (
        np.argsort(np.argsort(-np.abs(weight), axis=None)).reshape(weight.shape)
        < count
    )


def fit(model, callback, epochs=4, x=X, y=Y):
    model.fit(
        x,
        y,
        batch_size=4,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    )


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("interval", [1, 3])
def test_steps_by_hand(momentum, interval):
    """Gradients in B, the penalty 1 in A and 1 / D in B without A."""
    model, masked = linear(keras.optimizers.SGD(0.5, momentum=momentum))
    callback = TopKASTUpdate(
        0.75, 0.5, interval, distribution="uniform", penalty=0.1
    )
    fit(model, callback)
    weight, velocity, changed = W.astype("float64"), np.zeros((4, 3)), False
    for step in range(8):
        if step % interval == 0 or step % 2 == 0:
            active, trained = largest(weight, 3), largest(weight, 6)
            velocity = velocity * trained
            changed |= bool(step) and (trained != largest(W, 6)).any()
        rows = slice(0, 4) if step % 2 == 0 else slice(4, 8)
        error = X[rows] @ (weight * active) - Y[rows]
        gradient = X[rows].T @ error * 2 / error.size
        gradient = gradient + 0.1 * weight * np.where(active, 1, 1 / 0.25)
        velocity = momentum * velocity - 0.5 * gradient * trained
        weight = weight + velocity
    assert changed
    np.testing.assert_allclose(masked.weight_array(), weight, atol=1e-5)
    np.testing.assert_array_equal(masked.mask_array(), largest(weight, 3))
    np.testing.assert_array_equal(masked.companion_array(), largest(weight, 6))


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.SGD(0.5, momentum=0.9),
        lambda: keras.optimizers.Adam(0.3, amsgrad=True),
    ],
)
def test_weights_outside_the_backward_pass_stay_as_they_are(make):
    model, _ = linear(make())

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            (masked,) = masked_weights(self.model).values()
            self.before = masked.weight_array().copy()
            self.outside = ~masked.companion_array()

        def on_train_batch_end(self, batch, logs=None):
            (masked,) = masked_weights(self.model).values()
            moved = masked.weight_array() != self.before
            assert not (moved & self.outside).any()
            seen.append(self.outside)

    seen = []
    callback = TopKASTUpdate(0.75, 0.5, 2, distribution="uniform")
    model.fit(
        X, Y, batch_size=4, epochs=8, verbose=0, callbacks=[callback, Watch()]
    )
    assert any((seen[0] != outside).any() for outside in seen)


def test_momentum_is_zeroed_and_averages_stay_outside_the_backward_pass():
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)
    model, masked = linear(optimizer)
    callback = TopKASTUpdate(0.75, 0.5, 100, distribution="uniform")
    fit(model, callback, epochs=1)
    average, momentum = (
        slot for slot, _ in keras_private.slots(optimizer, masked.weight)
    )
    before = average.numpy(), momentum.numpy()
    masked.weight.assign(W[::-1])
    callback.update(model)
    np.testing.assert_array_equal(average.numpy(), before[0])
    trained = masked.companion_array()
    assert before[1][~trained].any()
    np.testing.assert_array_equal(momentum.numpy(), before[1] * trained)


@pytest.mark.parametrize(
    ("pattern", "sparsity"),
    [("1:4", 0.75), (ConstantFanIn(), 0.75), (Blocks((2, 1)), 0.5)],
    ids=str,
)
def test_the_forward_pass_has_the_pattern(pattern, sparsity):
    model, masked = linear(keras.optimizers.SGD(0.5, momentum=0.9))
    callback = TopKASTUpdate(
        sparsity, 0.25, 1, distribution="uniform", pattern=pattern
    )
    fit(model, callback)
    mask, trained = masked.mask_array(), masked.companion_array()
    keras_snn.patterns.get(pattern).check(mask)
    assert mask.sum() == round((1 - sparsity) * 12)
    assert trained.sum() == 9 and not (mask & ~trained).any()
    others = np.abs(masked.weight_array())
    assert others[trained & ~mask].min() > others[~trained].max()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="of its own, 0.75"):
        TopKASTUpdate(0.9, 0.5, pattern="1:4")
    model, _ = linear("sgd")
    callback = TopKASTUpdate(1 - 1 / 3, 0.5, pattern="1:3")
    with pytest.raises(ValueError, match="exclude.*'layer/kernel'"):
        fit(model, callback)
    with pytest.raises(TypeError, match="`optimizer` must be a Keras"):
        TopKASTUpdate(0.75, 0.5).update(model, optimizer="sgd")
