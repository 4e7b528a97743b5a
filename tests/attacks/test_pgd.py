import gc
import inspect
import weakref

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import layers
from keras import ops

import keras_snn
from keras_snn import backend
from keras_snn.attacks import FGSM
from keras_snn.attacks import PGD
from keras_snn.attacks import adversarial_accuracy

LOGITS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def lengths(x_adv, x, norm):
    change = (x_adv.astype("float64") - x).reshape(len(x), -1)
    order = np.inf if norm == "linf" else 2
    return np.linalg.norm(change, ord=order, axis=1)


def linear_model():
    """Two pixels to two logits, the identity."""
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(2, use_bias=False)]
    )
    model.set_weights([np.eye(2, dtype="float32")])
    model.compile(loss=LOGITS_LOSS)
    return model


def test_linf_by_hand():
    # Towards the other class: its logit up, the own one down.
    x = np.array([[0.5, 0.5], [0.05, 0.98]], "float32")
    attack = PGD(0.1, 0.06, steps=2, random_start=False)
    x_adv = attack(linear_model(), x, [0, 0])
    np.testing.assert_allclose(x_adv, [[0.4, 0.6], [0.0, 1.0]], atol=1e-6)


def test_l2_by_hand():
    x = np.array([[0.5, 0.5]], "float32")
    step = 0.1 / np.sqrt(2)
    for steps, moved in ((1, step), (2, 1.5 * step), (5, 1.5 * step)):
        attack = PGD(0.15, 0.1, steps, norm="l2", random_start=False)
        x_adv = attack(linear_model(), x, [1])
        np.testing.assert_allclose(
            x_adv, [[0.5 + moved, 0.5 - moved]], atol=1e-6
        )


@settings(max_examples=25, deadline=None)
@given(
    eps=st.floats(0, 0.5),
    step_size=st.floats(0.01, 1),
    steps=st.integers(1, 3),
    norm=st.sampled_from(["linf", "l2"]),
    random_start=st.booleans(),
)
def test_stays_within_ball_and_range(
    trained, eps, step_size, steps, norm, random_start
):
    x = np.random.default_rng(0).random((8, 6, 6, 1), "float32")
    attack = PGD(eps, step_size, steps, norm=norm, random_start=random_start)
    x_adv = attack(trained, x, np.arange(8) % 4)
    assert x_adv.shape == x.shape and x_adv.dtype == np.float32
    assert x_adv.min() >= 0 and x_adv.max() <= 1
    assert lengths(x_adv, x, norm).max() <= eps + 1e-6


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_radius_zero_changes_nothing(trained, images, norm):
    x, y = images
    np.testing.assert_array_equal(PGD(0, norm=norm)(trained, x, y), x)
    np.testing.assert_array_equal(FGSM(0, norm=norm)(trained, x, y), x)


def test_stronger_attacks_leave_less_accuracy(trained, images):
    x, y = images
    eps = 0.06
    attacks = [
        FGSM(0.0),
        FGSM(eps),
        PGD(eps, eps / 4, 10),
        PGD(eps, eps / 4, 20),
    ]
    accuracies = [adversarial_accuracy(trained, a, x, y) for a in attacks]
    assert accuracies[0] > 0.9
    assert accuracies[0] > accuracies[1]
    assert accuracies[1] + 0.05 >= accuracies[2] >= accuracies[3] - 0.05
    assert adversarial_accuracy(trained, PGD(0.5, 0.1), x, y) < 0.1


def test_restarts_keep_the_worst_of_each_image(trained, images):
    x, y = images
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction=None
    )

    def badness(x_adv):
        outputs = trained.predict(x_adv, verbose=0)
        losses = ops.convert_to_numpy(loss(y, outputs))
        return losses + 100 * (outputs.argmax(axis=1) != y)

    attack = PGD(0.06, 0.02, 2, restarts=3)
    found = badness(attack(trained, x, y))
    once = badness(PGD(0.06, 0.02, 2)(trained, x, y))
    assert np.all(found >= once - 1e-5) and np.any(found > once + 1e-3)
    parts = badness(attack(trained, x, y, batch_size=7))
    np.testing.assert_allclose(parts, found, atol=1e-3)


def test_adversarial_accuracy_counts_in_any_encoding(trained, images):
    x, y = images
    expected = trained.evaluate(x, y, verbose=0)[1]
    for labels in (y, y[:, None], np.eye(4)[y], y.tolist()):
        accuracy = adversarial_accuracy(trained, FGSM(0), x, labels)
        assert accuracy == pytest.approx(expected)


def test_alters_nothing_of_the_model(network, images):
    def state():
        variables = network.variables + network.optimizer.variables
        return [ops.convert_to_numpy(v) for v in variables]

    def grads():
        return [getattr(v.value, "grad", None) for v in network.variables]

    x, y = images
    network.fit(x, y, verbose=0)
    before, grads_before = state(), grads()
    for training in (False, True):
        PGD(steps=2, training=training)(network, x, y)
    for old, new in zip(before, state(), strict=True):
        np.testing.assert_array_equal(old, new)
    # On PyTorch, gradients would pile up in the parameters.
    for old, new in zip(grads_before, grads(), strict=True):
        assert new is old


def test_training_mode_uses_statistics_of_the_batch(images):
    x, y = images
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    model.compile(loss=LOGITS_LOSS)
    inference = PGD(steps=2, random_start=False)(model, x, y)
    batch = PGD(steps=2, random_start=False, training=True)(model, x, y)
    assert not np.allclose(inference, batch)
    # A batch normalised anew cannot be moved as a whole, nor be scaled.
    assert np.abs(np.mean(batch - x, axis=0)).max() < 8 / 255


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_start_depends_on_seed_and_place_alone(trained, images, norm):
    x, y = images
    x = 0.25 + x / 2  # No start is clipped.
    starts = [
        PGD(0.1, 1e-12, 1, norm=norm, seed=seed)(
            trained, x, y, batch_size=batch_size
        )
        for seed, batch_size in ((0, 24), (0, 5), (1, 24))
    ]
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.allclose(starts[0], starts[2])
    random = np.random.default_rng(0)
    if norm == "linf":
        expected = 0.1 * random.uniform(-1, 1, x.shape)
    else:
        sphere = random.normal(size=(24, 38))
        sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
        expected = 0.1 * sphere[:, :36].reshape(x.shape)
    np.testing.assert_allclose(starts[0] - x, expected, atol=1e-6)


def test_l2_start_is_uniform_in_the_ball():
    # A fraction r^n of the ball lies within r of its centre.
    x = np.full((2000, 2), 0.5, "float32")
    attack = PGD(0.4, 1e-12, 1, norm="l2")
    x_adv = attack(linear_model(), x, np.zeros(2000), batch_size=2000)
    radii = lengths(x_adv, x, "l2") / 0.4
    assert np.mean(radii < 0.5) == pytest.approx(0.25, abs=0.04)
    assert radii.max() > 0.98


def test_result_does_not_depend_on_batch_size(trained, images):
    x, y = images
    attack = PGD(0.1, 0.05, 3)
    whole = attack(trained, x, y, batch_size=100)
    for batch_size in (1, 7):
        parts = attack(trained, x, y, batch_size=batch_size)
        np.testing.assert_allclose(parts, whole, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="runs eagerly")
def test_compiles_once_a_model(images):
    traces = []

    def loss(y, outputs):
        traces.append(y.shape)
        return LOGITS_LOSS.call(y, outputs)

    x, y = images
    model = keras.models.clone_model(linear_model())
    x = x.reshape(-1, 2)
    y = np.arange(len(x)) % 2
    model.compile(loss=loss)
    PGD(steps=4)(model, x, y, batch_size=8)
    assert len(traces) == 1
    model.set_weights([w + 1 for w in model.get_weights()])
    PGD(steps=9)(model, x, y, batch_size=8)
    FGSM(norm="l2")(model, x[:20], y[:20], batch_size=8)
    assert len(traces) == 1


def test_sees_changed_weights_and_masks(images):
    x, y = images
    inner = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(4)]
    )
    model = keras_snn.sparsify(inner, 0)
    model.compile(loss=LOGITS_LOSS)
    attack = FGSM(0.01)
    assert np.all(attack(model, x, y) != x)
    (path,) = keras_snn.get_masks(model)
    mask = np.ones((36, 4), bool)
    mask[:18] = False
    keras_snn.set_masks(model, {path: mask})
    changed = (attack(model, x, y) != x).reshape(len(x), 36)
    assert not changed[:, :18].any() and changed[:, 18:].all()
    inner.set_weights([-w for w in inner.get_weights()])
    opposite = attack(model, x, y)
    assert (opposite != x).reshape(len(x), 36)[:, 18:].all()


def test_frozen_batch_norm_is_seen(network, images):
    x, y = images
    attack = PGD(0.1, 0.05, 2, training=True, random_start=False)
    moving = attack(network, x, y)
    network.layers[1].trainable = False
    frozen = attack(network, x, y)
    assert not np.allclose(moving, frozen)


def test_recompiled_loss_is_seen():
    x = np.array([[0.5, 0.4]], "float32")
    model = linear_model()
    before = FGSM(0.1)(model, x, [0])
    model.compile(loss=lambda y, outputs: -LOGITS_LOSS.call(y, outputs))
    after = FGSM(0.1)(model, x, [0])
    np.testing.assert_allclose(before, [[0.4, 0.5]], atol=1e-6)
    np.testing.assert_allclose(after, [[0.6, 0.3]], atol=1e-6)


def test_a_model_is_not_kept_alive():
    model = linear_model()
    FGSM()(model, np.ones((1, 2), "float32"), [0])
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


def test_losses_and_labels_in_any_encoding(images):
    x, y = images
    one_hot = np.eye(4)[y]
    inputs = keras.Input((6, 6, 1))
    logits = layers.Dense(4)(layers.Flatten()(inputs))
    model = keras.Model(inputs, logits)
    soft = keras.Model(inputs, layers.Softmax()(logits))
    categorical = keras.losses.CategoricalCrossentropy(from_logits=True)
    soft.compile(loss="sparse_categorical_crossentropy")
    expected = FGSM(loss=LOGITS_LOSS)(model, x, y)
    for labels in (y, y[:, None], one_hot, y.tolist()):
        for result in (
            FGSM(loss=LOGITS_LOSS)(model, x, labels),
            FGSM(loss=categorical)(model, x, labels),
            FGSM()(soft, x, labels),
            FGSM(loss="CategoricalCrossentropy")(soft, x, labels),
        ):
            np.testing.assert_allclose(result, expected, atol=1e-6)


def test_subclassed_model_without_training_argument(images):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.flatten = layers.Flatten()
            self.dense = layers.Dense(4)

        def call(self, x):
            return self.dense(self.flatten(x))

    x, y = images
    model = Subclassed()
    with pytest.raises(ValueError, match="must be built.*Received: the unb"):
        PGD(loss=LOGITS_LOSS)(model, x, y)
    model(x)
    x_adv = PGD(loss=LOGITS_LOSS)(model, x, y)
    assert 0 < np.abs(x_adv - x).max() <= 8 / 255 + 1e-6


def test_mixed_precision(images):
    x, y = images
    inputs = keras.Input((6, 6, 1))
    hidden = layers.Conv2D(4, 3, dtype="mixed_bfloat16")(inputs)
    outputs = layers.Dense(4, dtype="mixed_bfloat16")(
        layers.Flatten(dtype="mixed_bfloat16")(hidden)
    )
    model = keras.Model(inputs, outputs)
    x_adv = PGD(steps=2, loss=LOGITS_LOSS)(model, x, y)
    assert 0 < np.abs(x_adv - x).max() <= 8 / 255 + 1e-6


def test_double_precision_images(trained, images):
    x, y = images
    x_adv = FGSM()(trained, x.astype("float64"), y)
    assert x_adv.dtype == np.float32
    np.testing.assert_array_equal(x_adv, FGSM()(trained, x, y))


@keras.saving.register_keras_serializable(package="test_pgd")
def margin(y, outputs):
    return -outputs[:, 0]


@pytest.mark.parametrize(
    "attack",
    [
        PGD(),
        PGD(0.5, 0.1, 3, norm="l2", random_start=False, seed=7, training=True),
        PGD(loss=keras.losses.CategoricalCrossentropy(from_logits=True)),
        PGD(loss="mse", restarts=3),
        PGD(loss=margin),
        FGSM(),
        FGSM(0.1, norm="l2", training=True, loss="mse"),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_config_round_trip(attack):
    config = attack.get_config()
    assert type(attack).from_config(config).get_config() == config
    saved = keras.saving.serialize_keras_object(attack)
    loaded = keras.saving.deserialize_keras_object(saved)
    assert type(loaded) is type(attack)
    assert loaded.get_config() == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eps": -0.1}, r"`eps` must be in \[0, 1.0\].*Received: eps=-0.1"),
        ({"eps": 8}, "8/255 and not 8"),
        ({"eps": float("nan")}, "`eps` must be"),
        ({"eps": -1, "norm": "l2"}, "`eps` must be"),
        ({"step_size": 0}, "`step_size` must be positive.*step_size=0"),
        ({"step_size": float("nan")}, "`step_size` must be"),
        ({"step_size": float("inf")}, "`step_size` must be"),
        ({"steps": 0}, "`steps` must be an int >= 1.*steps=0"),
        ({"steps": 2.5}, "`steps` must be an int"),
        ({"steps": True}, "`steps` must be an int"),
        ({"norm": "l1"}, r"`norm` must be one of \['l2', 'linf'\].*'l1'"),
        ({"seed": -1}, "`seed` must be an int >= 0"),
        ({"seed": None}, "`seed` must be an int"),
        ({"restarts": 0}, "`restarts` must be an int >= 1"),
        ({"restarts": 2, "random_start": False}, "without a random start"),
        ({"loss": "no such loss"}, "must be one Keras loss.*no such loss"),
        ({"loss": ["mse", "mae"]}, "must be one Keras loss"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PGD(**arguments)


@pytest.mark.parametrize(
    ("change_x", "message"),
    [
        (lambda x: x * 255, r"must be in \[0, 1\].*Received: x from .* to"),
        (lambda x: x - 0.5, r"must be in \[0, 1\]"),
        (lambda x: np.where(x > 0.5, np.nan, x), r"must be in \[0, 1\]"),
        (lambda x: (255 * x).astype("uint8"), "hold floats.*dtype=uint8"),
        (lambda x: x[:0], "at least one image"),
        (lambda x: x[:, 0, 0, 0], "shape"),
    ],
)
def test_refuses_images(trained, images, change_x, message):
    x, y = images
    with pytest.raises(ValueError, match=message):
        PGD()(trained, change_x(x), y)


@pytest.mark.parametrize(
    ("change_y", "message"),
    [
        (lambda y: y + 1, r"whole numbers in \[0, 4\).*Received: 4 among"),
        (lambda y: y - 1, r"whole numbers in \[0, 4\).*Received: -1 among"),
        (lambda y: y + 0.5, "whole numbers"),
        (lambda y: np.where(y > 2, np.nan, y), "whole numbers"),
        (lambda y: y[:-1], r"Received: y.shape=\(23,\)"),
        (lambda y: np.eye(5)[y], r"one-hot, of shape \(24, 4\)"),
        (lambda y: 2 * np.eye(4)[y], "probabilities.*Received: 2.0"),
    ],
)
def test_refuses_labels(trained, images, change_y, message):
    x, y = images
    with pytest.raises(ValueError, match=message):
        PGD()(trained, x, change_y(y))


def test_refuses_models_and_batch_sizes(trained, images):
    x, y = images
    uncompiled = keras.Model(trained.inputs, trained.outputs)
    with pytest.raises(ValueError, match="compile the model with its loss"):
        PGD()(uncompiled, x, y)
    with pytest.raises(ValueError, match="must be a Keras model"):
        PGD()(lambda x: x, x, y)
    with pytest.raises(ValueError, match="`batch_size` must be an int"):
        PGD()(trained, x, y, batch_size=0)
    with pytest.raises(ValueError, match=r"one output, of shape \(n, cl"):
        PGD(loss=LOGITS_LOSS)(keras.Model(trained.inputs, trained.inputs), x, y)


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="of Keras on PyTorch"
)
def test_keras_copies_no_images():
    from keras.src.backend.torch import nn

    def same_memory(x):
        return nn._transpose_spatial_inputs(x).data_ptr() == x.data_ptr()

    x = ops.ones((2, 3, 3, 4))
    found = []
    backend.gradient(lambda x: found.append(same_memory(x)) or ops.sum(x), x)
    assert found == [True]
    assert "contiguous" in inspect.getsource(nn._transpose_spatial_inputs), (
        "Keras copies no longer: `_channels_first_view` of "
        "backend/torch_quick.py can go"
    )


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="of Keras on PyTorch"
)
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("trained", [False, True])
def test_normalised_in_one_pass_as_by_keras(axis, trained):
    random = np.random.default_rng(0)
    x = ops.convert_to_tensor(random.normal(size=(5, 4, 4)).astype("float32"))
    mean, variance, offset, scale = (
        ops.convert_to_tensor(random.uniform(0.5, 2, 4).astype("float32"))
        for _ in range(4)
    )
    for more in ({}, {"offset": offset}, {"offset": offset, "scale": scale}):

        def cubes(tensors, more=more):
            x, mean = tensors
            mean = mean if trained else ops.stop_gradient(mean)
            outputs = ops.batch_normalization(x, mean, variance, axis, **more)
            return ops.sum(outputs**3), outputs

        gradients, outputs = backend.gradient(cubes, [x, mean], has_aux=True)
        leaves = [t.detach().clone().requires_grad_() for t in (x, mean)]
        total, expected = cubes(leaves)  # Outside `gradient`, Keras's own.
        total.backward()
        pairs = [(outputs, expected), (gradients[0], leaves[0].grad)]
        if trained:
            pairs.append((gradients[1], leaves[1].grad))
        for ours, theirs in pairs:
            np.testing.assert_allclose(
                ops.convert_to_numpy(ours),
                ops.convert_to_numpy(theirs),
                rtol=1e-5,
                atol=1e-5,
            )
