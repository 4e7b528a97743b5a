"""Free adversarial training, against the authors' formula in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn.attacks import FreeAdversarialModel
from keras_snn.masking.mask_state import masked_weights

EPS, STEP, RATE, MOMENTUM, REPLAYS = 0.1, 0.06, 0.5, 0.9, 2
RNG = np.random.default_rng(3)
X = RNG.uniform(size=(6, 2, 2, 1)).astype("float32")
X[0, 0] = 0.0  # Where a change that leads out of [0, 1] has no gradient.
Y = np.array([0, 1, 2, 2, 1, 0])
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def trainer(norm="linf", optimizer=None, **options):
    network = keras.Sequential(
        [keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(3)]
    )
    kernel = np.random.default_rng(0).normal(size=(4, 3))
    network.set_weights([kernel, np.zeros(3)])
    sparse = keras_snn.sparsify(network, 0.4, masks="random")
    options = {"replays": REPLAYS, "step_size": STEP, "eps": EPS, **options}
    model = FreeAdversarialModel(sparse, 4, norm=norm, **options)
    optimizer = optimizer or keras.optimizers.SGD(RATE, MOMENTUM)
    model.compile(optimizer, LOSS, metrics=["accuracy"])
    return model


def step_of_the_formula(state, mask, norm, x, y):
    """One replay; returns the new state and the loss."""
    kernel, bias, speeds, delta = state
    moved = x + delta[: len(x)]
    inputs = moved.clip(0, 1).reshape(len(x), -1)
    p = np.exp(inputs @ kernel + bias)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[range(len(x)), y]).mean()
    by_logits = (p - np.eye(3)[y]) / len(x)
    gradients = mask * (inputs.T @ by_logits), by_logits.sum(axis=0)
    by_image = (by_logits @ kernel.T).reshape(x.shape)
    by_image = by_image * ((moved >= 0) & (moved <= 1))

    def length(change):
        return np.sqrt((change**2).sum(axis=(1, 2, 3), keepdims=True))

    delta = delta.copy()
    now = delta[: len(x)]
    if norm == "linf":
        now += STEP * np.sign(by_image)
        now[:] = now.clip(-EPS, EPS)
    else:
        now += STEP * by_image / length(by_image)
        now *= np.minimum(1, EPS / np.maximum(length(now), 1e-12))
    speeds = [
        MOMENTUM * v - RATE * g for v, g in zip(speeds, gradients, strict=True)
    ]
    return (kernel + speeds[0], bias + speeds[1], speeds, delta), loss


@pytest.mark.parametrize("kind", ["linf", "l2, loss scaled"])
def test_training_is_that_of_the_formula(kind):
    norm, *scaled = kind.split(",")
    optimizer = keras.optimizers.SGD(RATE, MOMENTUM)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, 8.0)
    model = trainer(norm, optimizer)
    ((_, masked),) = masked_weights(model).items()
    mask = masked.mask_array()
    kernel = masked.weight_array().astype("float64")
    state = kernel, np.zeros(3), (0.0, 0.0), np.zeros((4, 2, 2, 1))
    losses = []
    for rows in (slice(0, 4), slice(4, 6)):  # The last batch is smaller.
        for _ in range(REPLAYS):
            state, loss = step_of_the_formula(
                state, mask, norm, X[rows].astype("float64"), Y[rows]
            )
            losses.extend([loss] * len(X[rows]))
    history = model.fit(X, Y, 4, shuffle=False, verbose=0).history
    kernel, bias, _, delta = state
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.delta), delta, atol=1e-5
    )
    np.testing.assert_allclose(masked.weight_array(), kernel, atol=1e-5)
    assert np.all(masked.weight_array()[~mask] == 0)
    assert history["loss"][0] == pytest.approx(np.mean(losses), rel=1e-4)
    assert int(model.optimizer.iterations) == 2 * REPLAYS
    found = keras_snn.strip(model.model).get_weights()[1]
    np.testing.assert_allclose(found, bias, atol=1e-5)


@pytest.mark.parametrize(
    "update",
    [
        keras_snn.SETUpdate(interval=1, drop_fraction=0.5),
        keras_snn.RigLUpdate(interval=2, drop_fraction=0.5, end=1.0),
        keras_snn.RigLUpdate((X, Y), interval=2, drop_fraction=0.5, end=1.0),
    ],
    ids=["set", "rigl", "rigl on data"],
)
def test_masks_move_and_hold(update):
    model = trainer(optimizer=keras.optimizers.AdamW(0.1))
    ((_, masked),) = masked_weights(model).items()
    before = masked.mask_array().copy()
    model.fit(X, Y, 3, epochs=3, callbacks=[update], verbose=0)
    mask = masked.mask_array()
    assert mask.sum() == before.sum() and (mask != before).any()
    assert np.all(masked.weight_array()[~mask] == 0)
    assert np.all(masked.weight_array()[mask] != 0)
    delta = np.abs(ops.convert_to_numpy(model.delta))
    assert delta[:3].max() == pytest.approx(EPS) and delta[3:].max() == 0


def test_saves_and_reloads(tmp_path):
    model = trainer(norm="l2")
    model.fit(X, Y, 4, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    configs = [m.get_config() for m in (model, loaded)]
    del configs[0]["model"], configs[1]["model"]
    assert configs[0] == configs[1]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(loaded.delta), ops.convert_to_numpy(model.delta)
    )
    losses = [m.train_on_batch(X[:4], Y[:4]) for m in (model, loaded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    # Evaluation is clean.
    plain = keras_snn.strip(model.model)
    plain.compile(loss=LOSS)
    loss = plain.evaluate(X, Y, verbose=0)
    found = model.evaluate(X, Y, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(loss, rel=1e-4)


def test_bad_input():
    network = trainer().model
    for arguments, message in (
        ({"batch_size": 0}, "`batch_size` must be"),
        ({"eps": 8}, r"`eps` must be in \[0, 1"),
        ({"step_size": -1}, "`step_size` must be"),
        ({"replays": 0}, "`replays` must be"),
        ({"norm": "l1"}, "`norm` must be"),
    ):
        with pytest.raises(ValueError, match=message):
            FreeAdversarialModel(network, **{"batch_size": 4, **arguments})
    accumulates = keras.optimizers.SGD(gradient_accumulation_steps=2)
    with pytest.raises(ValueError, match="of the optimizer must be None"):
        trainer(optimizer=accumulates).train_on_batch(X[:4], Y[:4])
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        trainer().fit(255 * X, Y, 4, verbose=0)


def test_on_two_devices(on_devices):
    if keras.backend.backend() == "tensorflow":
        with on_devices(2), pytest.raises(ValueError, match="one replica"):
            trainer()
        return
    deltas = []
    for count in (1, 2):
        with on_devices(count):
            model = trainer()
            model.train_on_batch(X[:4], Y[:4])
            deltas.append(ops.convert_to_numpy(model.delta))
    np.testing.assert_allclose(*deltas, atol=1e-6)
