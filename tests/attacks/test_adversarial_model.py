import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn.attacks import FGSM
from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.attacks import adversarial_accuracy
from keras_snn.masking import mask_state

LOGITS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
COMPILED = keras.backend.backend() != "torch"


def without_dropout():
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )


def adversarial(model, attack, **kwargs):
    model = AdversarialModel(model, attack)
    kwargs = {"optimizer": "sgd", "loss": LOGITS_LOSS, **kwargs}
    model.compile(**kwargs)
    return model


@pytest.mark.parametrize(("norm", "training"), [("linf", False), ("l2", True)])
def test_a_step_trains_on_the_attacked_batch(images, norm, training):
    x, y = images
    weights = np.linspace(0, 2, len(x)).astype("float32")
    attack = PGD(0.1, 0.05, 2, norm=norm, random_start=False, training=training)
    plain = without_dropout()
    twin = keras.models.clone_model(plain)
    twin.set_weights(plain.get_weights())
    plain.compile("sgd", LOGITS_LOSS, weighted_metrics=["accuracy"])
    model = adversarial(twin, attack, weighted_metrics=["accuracy"])
    for _ in range(2):
        x_adv = attack(plain, x, y)
        expected = plain.train_on_batch(x_adv, y, weights, return_dict=True)
        logs = model.train_on_batch(x, y, weights, return_dict=True)
        expected = {name: float(value) for name, value in expected.items()}
        assert logs == pytest.approx(expected, abs=1e-5)
    for ours, theirs in zip(twin.variables, plain.variables, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), atol=1e-5
        )


def test_robust_accuracy_rises(images):
    x, y = images
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(4)]
    )
    attack = PGD(0.05, 0.03, 2)
    model = adversarial(model, attack, optimizer=keras.optimizers.Adam(0.05))
    before = adversarial_accuracy(model, attack, x, y)
    model.fit(x, y, epochs=30, verbose=0)
    assert adversarial_accuracy(model, attack, x, y) > before + 0.2


def test_restarts_inside_a_step(images):
    x, y = images
    for labels in (y, np.eye(4)[y]):
        losses = []
        for restarts in (1, 3):
            keras.utils.set_random_seed(0)
            attack = PGD(0.2, 0.05, 1, restarts=restarts)
            loss = (
                LOGITS_LOSS
                if labels is y
                else keras.losses.CategoricalCrossentropy(from_logits=True)
            )
            model = adversarial(without_dropout(), attack, loss=loss)
            losses.append(model.train_on_batch(x, labels))
        assert losses[1] > losses[0]


def test_validation_and_prediction_are_clean(network, images):
    x, y = images
    model = adversarial(network, PGD(0.1, 0.1), metrics=["accuracy"])
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    assert history["loss"][0] > history["val_loss"][0]
    clean = network.predict(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), clean, atol=1e-6)
    loss = float(LOGITS_LOSS(y, clean))
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(loss, rel=1e-4)
    assert logs["loss"] == pytest.approx(history["val_loss"][0], rel=1e-4)


def test_batch_norm_moves_with_training_batches_alone(images):
    x, y = images
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.BatchNormalization(momentum=0.5),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    attack = PGD(0.1, 0.05, 5, random_start=False, training=True)
    trainer = adversarial(model, attack)
    x_adv = attack(trainer, x, y)
    trainer.train_on_batch(x, y)
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.layers[0].moving_mean),
        [x_adv.mean() / 2],
        rtol=1e-5,
    )


class CountingPGD(PGD):
    calls = 0

    def perturb(self, *args, **kwargs):
        type(self).calls += 1
        return super().perturb(*args, **kwargs)


@pytest.mark.skipif(not COMPILED, reason="runs eagerly")
def test_no_recompilation_between_steps(images):
    x, y = images
    model = adversarial(
        keras_snn.sparsify(without_dropout(), 0.5), CountingPGD()
    )
    model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    CountingPGD.calls = 0
    masks = keras_snn.get_masks(model)
    keras_snn.set_masks(model, {k: ~mask for k, mask in masks.items()})
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    assert CountingPGD.calls == 0


class SwapMask(keras.callbacks.Callback):
    """Masks the other half of the pixels, and has all weights as they were."""

    def on_train_begin(self, logs=None):
        ((_, self.masked),) = mask_state.masked_weights(self.model).items()
        self.kernel = self.masked.weight_array()

    def on_epoch_end(self, epoch, logs=None):
        self.masked.mask.assign(~self.masked.mask_array())
        self.masked.weight.assign(self.kernel)


def test_a_mask_changed_in_mid_fit_is_attacked(images):
    x, y = images
    inner = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(4)]
    )
    sparse = keras_snn.sparsify(inner, 0)
    attack = FGSM(0.1)
    model = adversarial(sparse, attack, optimizer=keras.optimizers.SGD(0.0))
    mask = np.ones((36, 4), bool)
    mask[:18] = False
    (masked,) = mask_state.masked_weights(model).values()
    masked.mask.assign(mask)
    expected = []
    for half in (mask, ~mask):
        masked.mask.assign(half)
        x_adv = attack(model, x, y)
        expected.append(model.evaluate(x_adv, y, verbose=0))
    masked.mask.assign(mask)
    history = model.fit(x, y, epochs=2, callbacks=[SwapMask()], verbose=0)
    assert history.history["loss"] == pytest.approx(expected, rel=1e-4)
    assert expected[0] != pytest.approx(expected[1], rel=1e-3)


def test_random_start_is_drawn_anew_in_every_step(images):
    x, y = images
    attack = PGD(0.3, 1e-12, 1)
    losses = []
    for _ in range(2):
        model = without_dropout()
        keras.utils.set_random_seed(3)
        weights = [0.1 * np.ones_like(w) for w in model.get_weights()]
        weights[-2] += np.random.normal(size=weights[-2].shape)
        model.set_weights(weights)
        model.layers[1].trainable = False
        model = adversarial(model, attack, optimizer=keras.optimizers.SGD(0.0))
        losses.append([model.train_on_batch(x, y) for _ in range(3)])
        state = ops.convert_to_numpy(model.seed_generator.state)
        assert state[1] == 3
    assert len({round(float(loss), 6) for loss in losses[0]}) == 3
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_saves_and_reloads(images, tmp_path):
    x, y = images
    model = AdversarialModel(
        keras_snn.sparsify(without_dropout(), 0.5),
        PGD(0.1, 0.05, 2, norm="l2", seed=5),
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), LOGITS_LOSS)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, AdversarialModel)
    assert loaded.attack.get_config() == model.attack.get_config()
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0)
    )
    for name, mask in keras_snn.get_masks(model).items():
        np.testing.assert_array_equal(keras_snn.get_masks(loaded)[name], mask)
    # The next step is the same, its random start included.
    for m in (model, loaded):
        m.fit(x, y, verbose=0, shuffle=False)
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5
    )


def test_saves_before_it_is_trained(images, tmp_path):
    x, _ = images
    network = without_dropout()
    model = AdversarialModel(network, FGSM(loss=LOGITS_LOSS))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.model.predict(x, verbose=0), network.predict(x, verbose=0)
    )
    model.save_weights(tmp_path / "model.weights.h5")
    loaded.load_weights(tmp_path / "model.weights.h5")


def test_one_hot_labels_and_uneven_batches(network, images):
    x, y = images
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1
    )
    model = adversarial(network, PGD(), loss=loss)
    history = model.fit(x, np.eye(4)[y], batch_size=10, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_attack_with_a_loss_of_its_own(images):
    x, y = images
    mean = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = adversarial(
        without_dropout(),
        FGSM(0.1, loss=mean),
        loss=lambda y, outputs: 0.0 * outputs,
    )
    model.compile(loss="crossentropy", optimizer="sgd")
    assert np.isfinite(model.train_on_batch(x, y))
    model = adversarial(without_dropout(), FGSM(0.1), loss="crossentropy")
    with pytest.raises(ValueError, match="must be one Keras loss"):
        model.train_on_batch(x, y)


def test_runs_eagerly(images):
    x, y = images
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(4)]
    )
    model = adversarial(model, PGD(steps=2), run_eagerly=True)
    history = model.fit(x, y, verbose=0)
    assert np.isfinite(history.history["loss"][0])


@pytest.mark.skipif(not COMPILED, reason="options of compiled steps")
def test_compile_options(network, images):
    x, y = images
    model = adversarial(
        network, PGD(steps=2), steps_per_execution=2, jit_compile=True
    )
    history = model.fit(x, y, batch_size=8, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_sparse_training(images):
    x, y = images
    model = keras_snn.sparsify(without_dropout(), 0.5)
    model = adversarial(
        model, PGD(steps=2), optimizer=keras.optimizers.SGD(0.1, momentum=0.9)
    )
    before = keras_snn.get_masks(model)
    update = keras_snn.SETUpdate(interval=1, drop_fraction=0.5)
    model.fit(x, y, epochs=3, callbacks=[update], verbose=0)
    for path, masked in mask_state.masked_weights(model).items():
        mask = masked.mask_array()
        assert mask.sum() == before[path].sum()
        assert (mask != before[path]).any()
        assert np.all(masked.weight_array()[~mask] == 0)


def test_images_out_of_range(network, images):
    x, y = images
    model = adversarial(network, PGD(steps=1))
    before = network.get_weights()
    for bad, message in (
        (255 * x, r"in \[0, 1\]"),
        ((255 * x).astype("uint8"), "must hold floats"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(bad, y, verbose=0)
    with pytest.raises(ValueError, match="must hold floats"):
        model.train_on_batch((255 * x).astype("uint8"), y)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # A sum that came to a little more than 1 is no mistake.
    assert np.isfinite(model.train_on_batch(x + (1.001 - x.max()), y))
    assert np.isnan(model.train_on_batch(2 * x, y))


def test_bad_input(network, images):
    x, y = images
    with pytest.raises(ValueError, match="must be built"):
        AdversarialModel(keras.Sequential([layers.Dense(2)]), PGD())
    with pytest.raises(ValueError, match="`attack` must be"):
        AdversarialModel(network, "pgd")
    with pytest.raises(ValueError, match="Received: y=None"):
        adversarial(network, PGD()).fit(x, verbose=0)


def test_compiled_inner_model_keeps_its_metrics_to_itself(network, images):
    x, y = images
    network.compile("sgd", LOGITS_LOSS, metrics=["accuracy"])
    network.fit(x, y, verbose=0)
    model = adversarial(network, FGSM())
    logs = model.train_on_batch(x, y, return_dict=True)
    assert set(logs) == {"loss"} and logs["loss"] > 0
