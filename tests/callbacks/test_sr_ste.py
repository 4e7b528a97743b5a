"""SR-STE by hand."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import SRSTEUpdate
from keras_snn import StraightThroughLayer
from keras_snn import get_masks
from keras_snn.masking.mask_state import masked_weights
from keras_snn.patterns import NM
from keras_snn.patterns import ConstantFanIn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")
W = RNG.normal(size=(4, 3)).astype("float32")


def linear(wrapper=StraightThroughLayer, inputs=4):
    dense = keras.Sequential(
        [keras.Input((inputs,)), layers.Dense(3, use_bias=False, name="layer")]
    )
    model = keras_snn.sparsify(dense, 0.0, wrapper=wrapper)
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    return model


def mask_of(weight):
    """The two largest of the four inputs of each output."""
    return np.abs(weight).argsort(axis=0).argsort(axis=0) >= 2


def test_steps_by_hand():
    model = linear()
    masked = masked_weights(model)["layer/kernel"]
    masked.weight.assign(W)
    model.fit(
        X,
        Y,
        batch_size=4,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[SRSTEUpdate("2:4", penalty=0.5)],
    )
    weight = W
    for step in range(6):
        rows = slice(0, 4) if step % 2 == 0 else slice(4, 8)
        mask = mask_of(weight)
        error = X[rows] @ (weight * mask) - Y[rows]
        gradient = X[rows].T @ error * 2 / error.size
        weight = weight - 0.1 * (gradient + 0.5 * (1 - mask) * weight)
    np.testing.assert_allclose(masked.weight_array(), weight, atol=1e-5)
    np.testing.assert_array_equal(
        get_masks(model)["layer/kernel"], mask_of(weight)
    )
    (layer,) = keras_snn.masking.mask_state.masked_layers(model)
    assert float(layer.inactive_decay.value) == 0

    outputs = model.predict_on_batch(X)
    plain = keras_snn.strip(model)
    kernel = plain.get_layer("layer").kernel.numpy()
    assert ((kernel != 0).sum(axis=0) == 2).all()
    np.testing.assert_allclose(plain.predict_on_batch(X), outputs, atol=1e-6)


class Masks(keras.callbacks.Callback):
    """The masks behind each step, and whether they are those of the weights."""

    def __init__(self):
        super().__init__()
        self.seen, self.fresh = [], []

    def on_train_batch_end(self, batch, logs=None):
        (masked,) = masked_weights(self.model).values()
        self.seen.append(masked.mask_array().copy())
        order = np.abs(masked.weight_array()).argsort(axis=0).argsort(axis=0)
        self.fresh.append((self.seen[-1] == (order == 3)).all())


def test_masks_change_every_interval_and_behind_each_epoch():
    model, masks = linear(), Masks()
    model.optimizer.learning_rate = 5.0
    model.fit(
        np.tile(X[:2], (6, 1)),
        np.tile(Y[:2], (6, 1)),
        batch_size=1,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[SRSTEUpdate("1:4", interval=5), masks],
    )
    seen = masks.seen
    changes = [i for i in range(1, 24) if (seen[i] != seen[i - 1]).any()]
    assert changes and set(changes) <= {5, 10, 11, 15, 20, 23}
    assert all((mask.sum(axis=0) == 1).all() for mask in seen)
    assert masks.fresh[11] and masks.fresh[23] and not all(masks.fresh)


def test_another_methods_backward_masks_are_forgotten():
    model = linear()
    masked = masked_weights(model)["layer/kernel"]
    masked.companion.assign(np.zeros((4, 3), bool))
    model.fit(X, Y, verbose=0, callbacks=[SRSTEUpdate()])
    assert keras.ops.convert_to_numpy(masked.companion.value).all()


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: SRSTEUpdate("4:4"), ValueError, "1 <= n < m"),
        (lambda: SRSTEUpdate("2-4"), ValueError, "such as '2:4'"),
        (lambda: SRSTEUpdate(None), TypeError, "must be N:M.*None"),
        (lambda: SRSTEUpdate(ConstantFanIn()), TypeError, "must be N:M"),
        (lambda: SRSTEUpdate(interval=0), ValueError, "`interval` must be"),
        (lambda: SRSTEUpdate(penalty=-1), ValueError, "`penalty` must be >= 0"),
    ],
)
def test_wrong_arguments(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(
    ("model", "pattern", "message"),
    [
        (lambda: linear(keras_snn.MaskedLayer), "2:4", "another wrapper"),
        (lambda: linear(inputs=6), "2:4", "exclude.*'layer/kernel'.*6 along"),
        (linear, NM(2, 3), "exclude.*'layer/kernel'.*4 along axis 0"),
    ],
)
def test_models_that_it_cannot_train(model, pattern, message):
    model = model()
    before = model.get_weights()
    x = np.ones((2, *model.input_shape[1:]), "float32")
    with pytest.raises(ValueError, match=message):
        model.fit(x, Y[:2], verbose=0, callbacks=[SRSTEUpdate(pattern)])
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_weight_that_is_nan_is_named():
    model = linear()
    masked_weights(model)["layer/kernel"].weight.assign(np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match="NaN or infinite.*'layer/kernel'"):
        SRSTEUpdate().update(model)
