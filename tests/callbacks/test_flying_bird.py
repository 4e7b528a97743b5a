import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import FlyingBirdUpdate
from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.attacks import AdversarialValidation
from keras_snn.gradients.of_masked import dense_gradients
from keras_snn.masking.mask_state import masked_weights

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(16, 10)).astype("float32")
Y = np.arange(16) % 4
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ON_JAX = keras.backend.backend() == "jax"
OF_ADVERSARIES = "accuracy", "val_adversarial_accuracy", "val_adversarial_loss"
OF_VALIDATION = "accuracy", "val_accuracy", "val_loss"


def model_of(name="model"):
    dense = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(20, activation="relu"),
            layers.Dense(4),
        ],
        name=name,
    )
    return keras_snn.sparsify(dense, 0.5)


def test_adversarial_training_tells_how_sparse_to_be():
    attack = PGD(eps=0.05, step_size=0.05, steps=1)
    model = AdversarialModel(model_of(), attack)
    model.compile("sgd", LOSS, metrics=["accuracy"], jit_compile=ON_JAX)
    sparsities, told = [0.5], []
    callback = FlyingBirdUpdate(
        interval=2,
        decay="constant",
        monitor=OF_ADVERSARIES,
        begin=0.25,
        extra_growth=0.3,
    )

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            told.append([logs[name] for name in OF_ADVERSARIES])
            sparsities.append(logs["sparsity"])

    validation = AdversarialValidation(attack, X, Y[::-1])  # Ever worse.
    model.fit(
        X,
        Y,
        batch_size=8,
        epochs=6,
        verbose=0,
        callbacks=[validation, callback, Look()],
    )
    accuracy, val_accuracy, losses = np.transpose(told)
    gaps = accuracy - val_accuracy
    np.testing.assert_allclose(callback.state["gaps"], gaps[-5:])
    np.testing.assert_allclose(callback.state["losses"], losses[-5:])
    # An update is due at step 2 in the second of six epochs, before `begin`.
    assert sparsities[:3] == [0.5, 0.5, 0.5]
    for epoch in range(2, 6):
        widens = (np.diff(gaps[:epoch][-5:]) > 0).mean() >= 0.5
        stays = (np.diff(losses[:epoch][-5:]) >= 0).mean() >= 0.5
        change = sparsities[epoch + 1] - sparsities[epoch]
        assert np.sign(change) == (1 if widens else -1 if stays else 0)
    assert len(set(sparsities)) > 1


def test_growth_looks_at_attacked_images():
    attack = PGD(eps=0.3, step_size=0.3, steps=1, random_start=False)
    inner = model_of()
    model = AdversarialModel(inner, attack)
    model.compile("sgd", LOSS, run_eagerly=True)
    model.optimizer.learning_rate = 0.0
    clean, attacked = (
        dense_gradients(inner, masked_weights(inner), x, Y, LOSS)
        for x in (X, attack(model, X, Y))
    )
    seen = []

    class Noting(FlyingBirdUpdate):
        def move(self, moment, gradients=None):
            seen.append(gradients)

    data = np.tile(X, (3, 1)), np.tile(Y, 3)
    options = {"batch_size": 16, "shuffle": False, "verbose": 0}
    model.fit(*data, **options, callbacks=[Noting(interval=1)])
    for path, gradient in seen[0].items():
        np.testing.assert_allclose(gradient, attacked[path], atol=1e-5)
        assert np.abs(gradient - clean[path]).max() > 1e-3


def test_logs_that_do_not_tell_are_named():
    model = model_of()
    model.compile("sgd", LOSS, run_eagerly=True)
    callback = FlyingBirdUpdate(interval=1, monitor=OF_VALIDATION)
    with pytest.raises(ValueError, match=r"'val_loss'\], and logs of \['expl"):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback])


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"growth": "momentum"}, "`growth` must be one of"),
        ({"monitor": "val_loss"}, "`monitor` must be three names"),
        ({"monitor": ("accuracy", "val_loss")}, "`monitor` must be three"),
        ({"begin": 1.0}, r"`begin` in \[0, 1\)"),
        ({"threshold": 0.0}, r"`threshold` in \(0, 1\]"),
        ({"extra_drop": -0.1}, "`extra_drop` and `extra_growth` >= 0"),
        ({"extra_growth": "much"}, "`extra_growth` must be a number"),
        ({"window": 0}, "`window` must be an int"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        FlyingBirdUpdate(**arguments)
