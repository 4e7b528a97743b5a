import keras
import numpy as np
import pytest
from keras import layers

from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.attacks import AdversarialValidation
from keras_snn.attacks import adversarial_accuracy

LOGITS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_best_and_final_model(images, tmp_path):
    x, y = images
    attack = PGD(0.03, 0.02, 2)
    inner = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(4)]
    )
    model = AdversarialModel(inner, attack)
    model.compile(keras.optimizers.Adam(0.1), LOGITS_LOSS)
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5",
        monitor="val_adversarial_accuracy",
        mode="max",
        save_best_only=True,
        save_weights_only=True,
    )
    validation = AdversarialValidation(attack, x, y, batch_size=9)
    logs = model.fit(
        x, y, epochs=6, callbacks=[validation, best], verbose=0
    ).history
    history = logs["val_adversarial_accuracy"]
    assert len(history) == 6 and len(set(history)) > 1
    final = adversarial_accuracy(model, attack, x, y)
    assert final == pytest.approx(history[-1])
    attacked = attack(model, x, y, batch_size=9)
    loss = model.evaluate(attacked, y, verbose=0)
    assert logs["val_adversarial_loss"][-1] == pytest.approx(loss, rel=1e-4)
    model.load_weights(tmp_path / "best.weights.h5")
    kept = adversarial_accuracy(model, attack, x, y)
    assert kept == pytest.approx(max(history))


def test_refuses_before_training(network, images):
    x, y = images
    before = network.get_weights()
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        AdversarialValidation(PGD(), 255 * x, y)
    with pytest.raises(ValueError, match="`attack` must be"):
        AdversarialValidation("pgd", x, y)
    with pytest.raises(ValueError, match="`batch_size` must be"):
        AdversarialValidation(PGD(), x, y, batch_size=0)
    callback = AdversarialValidation(PGD(), x, y + 1)
    with pytest.raises(ValueError, match="`y`.*whole numbers"):
        network.fit(x, y, callbacks=[callback], verbose=0)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
