"""What holds for every attack on logits."""

import re

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_snn import backend
from keras_snn.attacks import APGD
from keras_snn.attacks import FAB
from keras_snn.attacks import PGD
from keras_snn.attacks import AutoAttack
from keras_snn.attacks import Square
from keras_snn.attacks import TargetedAPGD
from keras_snn.attacks import adversarial_accuracy
from keras_snn.attacks import image_gradient
from keras_snn.attacks.logit_attack import Images
from keras_snn.attacks.logit_attack import Network

EPS = {"linf": 0.06, "l2": 0.25}
ATTACKS = [
    APGD(EPS["linf"], steps=8),
    APGD(EPS["l2"], norm="l2", steps=8, loss="dlr", restarts=2),
    TargetedAPGD(EPS["linf"], steps=5, targets=2),
    FAB(EPS["linf"], steps=4),
    FAB(EPS["l2"], norm="l2", steps=4, targets=2, restarts=2),
    Square(EPS["linf"], queries=60),
    Square(EPS["l2"], norm="l2", queries=60),
]


def each(attacks):
    def name(attack):
        return f"{type(attack).__name__}-{attack.norm}"

    return pytest.mark.parametrize("attack", attacks, ids=name)


def predictions(model, x):
    return model.predict(x, verbose=0).argmax(axis=1)


@each(ATTACKS)
def test_finds_wrong_predictions_in_the_ball(trained, images, attack):
    x, y = images
    before = [ops.convert_to_numpy(v) for v in trained.variables]
    x_adv = attack(trained, x, y, batch_size=9)
    assert x_adv.shape == x.shape and x_adv.dtype == np.float32
    assert x_adv.min() >= 0 and x_adv.max() <= 1
    change = (x_adv.astype("float64") - x).reshape(len(x), -1)
    order = np.inf if attack.norm == "linf" else 2
    assert np.linalg.norm(change, order, axis=1).max() <= attack.eps + 1e-6
    # What is changed is wrong, and what was wrong is not changed.
    changed = change.any(axis=1)
    assert 2 <= changed.sum() < len(x)
    wrong_before = predictions(trained, x) != y
    np.testing.assert_array_equal(
        predictions(trained, x_adv) != y, changed | wrong_before
    )
    assert not (changed & wrong_before).any()
    # Neither the model nor the size of batches has a say in it.
    for old, new in zip(before, trained.variables, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(new))
    np.testing.assert_allclose(
        attack(trained, x, y, batch_size=24), x_adv, atol=1e-4
    )


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.9), ("l2", 5)])
def test_square_on_images_that_are_not_square(norm, eps):
    x = np.random.default_rng(0).random((4, 6, 11, 3), "float32")
    model = keras.Sequential(
        [keras.Input(x.shape[1:]), layers.Flatten(), layers.Dense(2)]
    )
    y = predictions(model, x)
    x_adv = Square(eps, norm=norm, queries=60)(model, x, y)
    assert (x_adv != x).any() and np.isfinite(x_adv).all()


@each([ATTACKS[0], ATTACKS[3], ATTACKS[5]])
def test_probabilities_are_as_good_as_logits(trained, images, attack):
    x, y = images
    inputs = keras.Input((6, 6, 1))
    soft = keras.Model(inputs, layers.Softmax()(trained(inputs)))
    of_logits = predictions(trained, attack(trained, x, y)) == y
    of_probabilities = predictions(soft, attack(soft, x, np.eye(4)[y])) == y
    assert np.mean(of_logits != of_probabilities) < 0.1


@each([*ATTACKS, AutoAttack(0.1), AutoAttack(2, norm="l2", version="rand")])
def test_config_round_trip(attack):
    config = attack.get_config()
    saved = keras.saving.serialize_keras_object(attack)
    loaded = keras.saving.deserialize_keras_object(saved)
    assert type(loaded) is type(attack)
    assert loaded.get_config() == config
    assert type(attack)(**config).get_config() == config


@pytest.mark.parametrize(
    ("attack", "arguments", "message"),
    [
        (APGD, {"eps": 0}, "`eps` must be positive.*Received: eps=0"),
        (AutoAttack, {"eps": -0.1}, r"`eps` must be in \[0, 1.0\]"),
        (Square, {"eps": 8}, "8/255 and not 8"),
        (FAB, {"norm": "l1"}, r"`norm` must be one of \['l2', 'linf'\]"),
        (APGD, {"seed": -1}, "`seed` must be an int >= 0"),
        (APGD, {"loss": "mse"}, r"`loss` must be one of \['ce', 'dlr'\]"),
        (APGD, {"steps": 0}, "`steps` must be an int >= 1"),
        (APGD, {"restarts": 0}, "`restarts` must be"),
        (APGD, {"eot": 0}, "`eot` must be"),
        (APGD, {"rho": 1}, r"`rho` must be in \(0, 1\).*rho=1"),
        (TargetedAPGD, {"targets": 0}, "`targets` must be"),
        (FAB, {"targets": 0}, "`targets` must be"),
        (FAB, {"steps": 0}, "`steps` must be"),
        (FAB, {"eta": 0.5}, "Received: eta=0.5"),
        (FAB, {"beta": 1}, "Received: beta=1"),
        (FAB, {"alpha_max": float("nan")}, "Received: alpha_max=nan"),
        (Square, {"queries": 0}, "`queries` must be"),
        (Square, {"p": 0}, r"`p` must be in \(0, 1\].*p=0"),
        (AutoAttack, {"version": "plus"}, "`version` must be one of.*'plus'"),
        (AutoAttack, {"steps": 0}, "`steps` must be"),
    ],
)
def test_refuses_arguments(attack, arguments, message):
    with pytest.raises(ValueError, match=message):
        attack(**arguments)


def classifier(classes, activation=None, loss=None, dtype=None):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Flatten(),
            layers.Dense(classes, activation=activation, dtype=dtype),
        ]
    )
    model.compile(loss=loss)
    return model


def test_refuses_data(trained, images):
    x, y = images
    for bad_x, bad_y, message in (
        (255 * x, y, r"in \[0, 1\]"),
        (x, y + 1, r"whole numbers in \[0, 4\)"),
        (x, y[:-1], "must give each image its class"),
    ):
        with pytest.raises(ValueError, match=message):
            AutoAttack()(trained, bad_x, bad_y)
    flat = keras.Sequential([keras.Input((36,)), layers.Dense(4)])
    with pytest.raises(ValueError, match=r"rows, columns, channels"):
        AutoAttack()(flat, x.reshape(-1, 36), y)
    with pytest.raises(ValueError, match="`batch_size` must be"):
        APGD()(trained, x, y, batch_size=0)


@pytest.mark.parametrize(
    ("attack", "classes"),
    [(APGD(loss="dlr"), 3), (TargetedAPGD(), 4), (AutoAttack(), 4)],
)
def test_refuses_too_few_classes(images, attack, classes):
    x, y = images
    message = f"at least {classes} classes.*of {classes - 1} classes"
    with pytest.raises(ValueError, match=message):
        attack(classifier(classes - 1), x, y % 2)


def test_refuses_outputs_that_contradict_the_loss(images):
    x, y = images
    of_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for activation, loss, message in (
        ("softmax", of_logits, "must be logits.*which outputs probabilities"),
        (
            None,
            "sparse_categorical_crossentropy",
            "must be probabilities.*which outputs logits",
        ),
        (
            None,
            keras.losses.CategoricalCrossentropy(),
            "must be probabilities.*which outputs logits",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            APGD()(classifier(4, activation, loss), x, y)
    for dtype, loss in (
        ("float32", "mse"),
        ("mixed_bfloat16", "sparse_categorical_crossentropy"),
    ):
        model = classifier(4, "softmax", loss, dtype)
        x_adv = APGD(0.5, steps=5)(model, x, predictions(model, x))
        assert (x_adv != x).any()


class Noise(keras.Layer):
    """A defence: noise in inference, too."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, x):
        noise = keras.random.normal(ops.shape(x), seed=self.seed_generator)
        return x + 0.3 * noise


def test_random_models(images):
    x, y = images
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), Noise(), layers.Flatten(), layers.Dense(4)]
    )
    before = ops.convert_to_numpy(model.layers[0].seed_generator.state)
    with pytest.raises(ValueError, match='`version` must be "rand"'):
        AutoAttack()(model, x, y)
    x_adv = AutoAttack(0.2, version="rand", steps=2)(model, x, y)
    assert (x_adv != x).any()
    after = ops.convert_to_numpy(model.layers[0].seed_generator.state)
    np.testing.assert_array_equal(before, after)


def test_averages_gradients_of_a_random_model(images):
    x, y = images
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), Noise(), layers.Flatten(), layers.Dense(4)]
    )
    states = [image_gradient.reseeded_values(model, [0, k]) for k in (1, 2)]
    outputs = image_gradient.compiled_outputs(model)
    one, two = (ops.convert_to_numpy(outputs(s, x)) for s in states)
    assert not np.allclose(one, two, atol=1e-2)


def test_autoattack_is_as_strong_as_each_of_its_attacks(
    trained, images, capsys
):
    x, y = images
    attack = AutoAttack(EPS["linf"], steps=10, queries=30, verbose=True)
    accuracy = adversarial_accuracy(trained, attack, x, y)
    printed = capsys.readouterr().out
    left = [float(p) / 100 for p in re.findall(r"([\d.]+)%", printed)]
    assert left == sorted(left, reverse=True) and len(left) == 5
    assert left[-1] == pytest.approx(accuracy, abs=1e-4)
    assert accuracy <= adversarial_accuracy(trained, PGD(EPS["linf"]), x, y)
    assert accuracy < left[0] - 0.1


def test_autoattack_warns_of_masked_gradients(images):
    x, y = images

    @keras.saving.register_keras_serializable(package="test_logit_attacks")
    def rounded(x):
        return ops.stop_gradient(x)

    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Lambda(rounded, output_shape=(6, 6, 1)),
            layers.AveragePooling2D(3),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    # The brightest quarter.
    model.layers[-1].set_weights([np.eye(4), np.zeros(4)])
    with pytest.warns(UserWarning) as caught:
        AutoAttack(0.1, steps=2, queries=60)(model, x, y)
    ours = [w for w in caught if w.category is UserWarning]
    messages = [str(warning.message) for warning in ours]
    assert len(messages) == 2
    assert "24 of the first 24 images have no gradient" in messages[0]
    assert "Square, which takes no gradients, found" in messages[1]


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="runs eagerly")
def test_compiles_once(images):
    class Counting(layers.Dense):
        traces = 0

        def call(self, x):
            type(self).traces += 1
            return super().call(x)

    x, y = images
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), Counting(4)]
    )
    attacks = [attack for attack in ATTACKS if attack.norm == "linf"]
    for attack in attacks:
        attack(model, x, y, batch_size=5)
    before = Counting.traces
    model.set_weights([w + 0.1 for w in model.get_weights()])
    for attack in attacks:
        attack(model, x, y[::-1], batch_size=5)
    # To learn the shape of the outputs may be to trace, but not to compile.
    assert Counting.traces - before <= len(attacks)


def test_a_batch_is_filled_up_where_code_is_compiled(trained, images):
    x, y = images
    found = Images(Network(trained, x[:8]), x[:11], y[:11].astype(int), 8)
    found.right[:] = np.arange(11) < 3
    (rows,) = found.batches()
    assert set(rows) == {0, 1, 2}
    assert len(rows) == (8 if backend.COMPILES else 3)
