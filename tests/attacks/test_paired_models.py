"""TRADES, MART and AWP, against their formulas in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn.attacks import AWP
from keras_snn.attacks import FGSM
from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.attacks import MARTModel
from keras_snn.attacks import TRADESModel
from keras_snn.masking.mask_state import masked_weights

EPS, STEP, STEPS, BETA, RATE, GAMMA = 0.1, 0.04, 2, 3.0, 0.5, 0.1
RNG = np.random.default_rng(3)
X = RNG.uniform(size=(6, 3, 3, 1)).astype("float32")
Y = np.array([0, 1, 2, 2, 1, 0])
WEIGHTS = np.array([1, 2, 0, 0.5, 1, 1], "float32")
KINDS = {
    "trades": TRADESModel,
    "trades, of probabilities": TRADESModel,
    "mart": MARTModel,
    "mart, one-hot": MARTModel,
    "awp": AdversarialModel,
    "trades, awp": TRADESModel,
}


def sparse_network(softmax=False):
    model = keras.Sequential(
        [
            keras.Input((3, 3, 1)),
            layers.Flatten(),
            layers.Dense(5, activation="tanh"),
            layers.Dense(3, activation="softmax" if softmax else None),
        ]
    )
    rng = np.random.default_rng(0)
    values = [rng.normal(size=w.shape) for w in model.get_weights()]
    model.set_weights(values)
    return keras_snn.sparsify(model, 0.4, "uniform", masks="random")


def labels(kind):
    return np.eye(3)[Y] if kind == "mart, one-hot" else Y


def trainer(kind, attack=None, **options):
    sparse = keras.losses.SparseCategoricalCrossentropy
    one_hot = keras.losses.CategoricalCrossentropy
    softmax = "probabilities" in kind
    loss = (one_hot if "one-hot" in kind else sparse)(from_logits=not softmax)
    arguments = {} if kind == "awp" else {"beta": BETA}
    if "awp" in kind:
        arguments["weight_attack"] = AWP(GAMMA)
    model = KINDS[kind](
        sparse_network(softmax),
        attack or PGD(EPS, STEP, STEPS, seed=5),
        **arguments,
    )
    model.compile(keras.optimizers.SGD(RATE), loss, **options)
    return model


def probabilities(weights, x):
    first, bias, last, last_bias = weights
    z = np.tanh(x.reshape(len(x), -1) @ first + bias) @ last + last_bias
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def kl(p, q):
    return (p * np.log(p / q)).sum(axis=1)


def trades(weights, x, x_adv):
    p, p_adv = probabilities(weights, x), probabilities(weights, x_adv)
    return -np.log(p[range(6), Y]) + BETA * kl(p, p_adv)


def mart(weights, x, x_adv):
    p, p_adv = probabilities(weights, x), probabilities(weights, x_adv)
    order = np.argsort(p_adv, axis=1)
    other = np.where(order[:, -1] == Y, order[:, -2], order[:, -1])
    boosted = -np.log(p_adv[range(6), Y])
    boosted -= np.log(1.0001 - p_adv[range(6), other])
    return boosted + BETA * kl(p, p_adv) * (1 - p[range(6), Y])


def adversarial(weights, x, x_adv):
    return -np.log(probabilities(weights, x_adv)[range(6), Y])


FORMULAS = {"trades": trades, "mart": mart, "awp": adversarial}


def slope(function, value, h=1e-5):
    """The gradient of a scalar function, by differences."""
    found = np.zeros(value.shape)
    for at in np.ndindex(value.shape):
        change = np.zeros(value.shape)
        change[at] = h
        ahead, behind = function(value + change), function(value - change)
        found[at] = (ahead - behind) / (2 * h)
    return found


def slopes(function, weights):
    return [
        slope(
            lambda v, i=i: function([*weights[:i], v, *weights[i + 1 :]]), each
        )
        for i, each in enumerate(weights)
    ]


def attacked(weights, kind, draws):
    """Ascent of the divergence, or of the crossentropy."""
    clean = probabilities(weights, X)

    def raised(x):
        p = probabilities(weights, x)
        if "trades" in kind:
            return kl(clean, p).sum()
        return -np.log(p[range(6), Y]).sum()

    x = np.clip(X + EPS * (2 * draws - 1), 0, 1)
    for _ in range(STEPS):
        x = x + STEP * np.sign(slope(raised, x))
        x = np.clip(np.clip(x, X - EPS, X + EPS), 0, 1)
    return x


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_that_of_the_formula(kind):
    model = trainer(kind, weighted_metrics=["accuracy"])
    formula = FORMULAS[kind.split(",")[0]]
    weights = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    weights = [w.astype("float64") for w in weights]
    draws = keras.random.uniform(X.shape, seed=keras.random.SeedGenerator(5))
    x_adv = attacked(weights, kind, ops.convert_to_numpy(draws))

    def loss(weights):
        return np.mean(WEIGHTS * formula(weights, X, x_adv))

    masks = {
        id(m.weight): m.mask_array() for m in masked_weights(model).values()
    }
    masks = [masks.get(id(v), True) for v in model.trainable_variables]
    at = weights
    if "awp" in kind:
        gradients = [
            g * m for g, m in zip(slopes(loss, at), masks, strict=True)
        ]
        at = [
            w + GAMMA * np.linalg.norm(w) / np.linalg.norm(g) * g
            if w.ndim > 1
            else w
            for w, g in zip(weights, gradients, strict=True)
        ]
    expected = slopes(loss, at)
    logs = model.train_on_batch(X, labels(kind), WEIGHTS, return_dict=True)
    assert float(logs["loss"]) == pytest.approx(loss(at), rel=1e-4)
    right = probabilities(at, x_adv).argmax(axis=1) == Y
    of_attacked = np.average(right, weights=WEIGHTS)
    assert float(logs["accuracy"]) == pytest.approx(of_attacked, abs=1e-5)
    for variable, before, gradient, mask in zip(
        model.trainable_variables, weights, expected, masks, strict=True
    ):
        after = before - RATE * mask * gradient
        found = ops.convert_to_numpy(variable)
        np.testing.assert_allclose(found, after, atol=2e-4)

    if kind != "trades":
        return
    # Growth on data looks at the same loss, inactive weights included.
    weights = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    weights = [w.astype("float64") for w in weights]
    (_, x_adv), *_ = model.training_batch(X, labels(kind))
    expected = slopes(lambda w: formula(w, X, x_adv).mean(), weights)
    update = keras_snn.RigLUpdate([(X, labels(kind))])
    found = update.gradients(model, masked_weights(model), 0)
    for gradient, kernel in zip(found.values(), expected[::2], strict=True):
        np.testing.assert_allclose(gradient, kernel, atol=2e-4)


class Seen(keras_snn.RigLUpdate):
    """Compares what it looks at with what a step of SGD has done."""

    updates = 0

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch, logs)
        weights = masked_weights(self.model).items()
        self.before = {p: m.weight_array().copy() for p, m in weights}

    def update(self, model, step, progress, *, gradients):
        self.updates += 1
        for path, masked in masked_weights(model).items():
            mask, gradient = masked.mask_array(), gradients[path]
            change = (self.before[path] - masked.weight_array()) / RATE
            np.testing.assert_allclose(
                np.where(mask, gradient, 0), change, atol=1e-5
            )
            assert np.abs(gradient[~mask]).max() > 1e-4
        super().update(model, step, progress, gradients=gradients)


@pytest.mark.parametrize("kind", ["trades, awp", "mart"])
def test_masks_move_and_hold(kind):
    model = trainer(kind)
    before = keras_snn.get_masks(model)
    rigl = Seen(interval=3, drop_fraction=0.5, end=1.0)
    set_update = keras_snn.SETUpdate(interval=1, drop_fraction=0.5)
    for update in (rigl, set_update):
        model.fit(X, Y, 2, epochs=3, callbacks=[update], verbose=0)
        for path, masked in masked_weights(model).items():
            mask = masked.mask_array()
            assert mask.sum() == before[path].sum()
            assert (mask != before[path]).any()
            assert np.all(masked.weight_array()[~mask] == 0)
    assert rigl.updates == 2


@pytest.mark.parametrize("kind", ["trades, awp", "mart"])
def test_saves_and_reloads(kind, tmp_path):
    model = trainer(kind)
    model.fit(X, Y, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is KINDS[kind] and loaded.beta == BETA
    assert loaded.attack.get_config() == model.attack.get_config()
    assert repr(loaded.weight_attack) == repr(model.weight_attack)
    losses = [m.train_on_batch(X, Y) for m in (model, loaded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    # Evaluation is clean, of the compiled loss.
    plain = keras_snn.strip(model.model)
    plain.compile(loss=model.loss)
    loss = plain.evaluate(X, Y, verbose=0)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(loss, rel=1e-4)


def test_no_change_by_a_gradient_that_is_not_finite():
    model = trainer("awp")
    for x, changed in ((X, True), (np.nan * X, False)):
        changes = model.weight_attack.changes(
            model, x, ops.convert_to_tensor(Y)
        )
        for _, change in changes:
            assert np.any(ops.convert_to_numpy(change)) == changed


def test_bad_input():
    network = sparse_network()
    with pytest.raises(ValueError, match="must have a random start"):
        TRADESModel(network, FGSM())
    with pytest.raises(ValueError, match="no loss"):
        TRADESModel(network, PGD(loss="mse"))
    with pytest.raises(ValueError, match="`beta` must be"):
        MARTModel(network, beta=-1)
    with pytest.raises(ValueError, match="`weight_attack` must be"):
        AdversarialModel(network, PGD(), weight_attack=0.01)
    with pytest.raises(ValueError, match="`gamma` must be"):
        AWP(0)
    with pytest.raises(ValueError, match="whether outputs are logits"):
        model = MARTModel(network)
        model.compile("sgd", "mse")
        model.fit(X, np.eye(3)[Y], verbose=0)
