"""The lottery ticket: everything goes back to the beginning but the mask."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import LotteryTicket
from keras_snn import prune_magnitude
from keras_snn import schedules
from keras_snn.masking.mask_state import masked_weights
from keras_snn.patterns import Blocks
from keras_snn.patterns import ConstantFanIn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")


def model_of(sparsity=0.0, units=6, optimizer=None):
    keras.utils.set_random_seed(6)
    dense = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(units, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.3, seed=1),
            layers.Dense(3, name="last"),
        ]
    )
    model = keras_snn.sparsify(dense, sparsity)
    compiled(model, optimizer)
    return model


def compiled(model, optimizer=None):
    optimizer = optimizer or keras.optimizers.Adam(0.05)
    model.compile(optimizer, "mse", run_eagerly=True)


def fit(model, *callbacks, epochs=3):
    model.fit(
        X,
        Y,
        batch_size=4,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


def state(model):
    variables = model.variables + model.optimizer.variables
    return [np.array(v.numpy()) for v in variables]


class States(keras.callbacks.Callback):
    """The whole state at the beginning of each epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(state(self.model))


@pytest.mark.parametrize("epoch", [0, 2])
def test_everything_goes_back_but_the_mask(epoch):
    """Weights, BatchNorm statistics, seeds and the optimizer."""
    model, states, ticket = model_of(), States(), LotteryTicket(epoch=epoch)
    fit(model, ticket, states)
    trained = {
        p: m.weight_array().copy() for p, m in masked_weights(model).items()
    }
    variables = model.variables + model.optimizer.variables
    masks = ticket.rewind(model, 0.5)

    assert keras_snn.sparsity(model) == pytest.approx(0.5, abs=0.02)
    magnitudes = np.concatenate([np.abs(w).ravel() for w in trained.values()])
    kept = np.concatenate([mask.ravel() for mask in masks.values()])
    assert magnitudes[kept].min() > magnitudes[~kept].max()

    masked = {id(m.weight): masks[p] for p, m in masked_weights(model).items()}
    own = {id(m.mask): masks[p] for p, m in masked_weights(model).items()}
    slots = {masks[p].shape: masks[p] for p in masks}
    for variable, value in zip(variables, states.seen[epoch], strict=True):
        if id(variable) in own:
            value = own[id(variable)]
        elif id(variable) in masked or variable.shape in slots:
            value = value * slots[variable.shape]
        np.testing.assert_array_equal(variable.numpy(), value, variable.path)


def test_training_once_more_is_that_of_a_fresh_model_with_the_mask():
    model, ticket = model_of(), LotteryTicket()
    fit(model, ticket)
    masks = ticket.rewind(model, 0.5)
    fit(model)
    fresh = model_of()
    keras_snn.set_masks(fresh, masks)
    fit(fresh)
    for one, other in zip(state(model), state(fresh), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_scopes_and_distributions_are_those_of_prune_magnitude():
    for arguments in (
        {"scope": "layer"},
        {"scope": "lamp"},
        {"distribution": "erk"},
    ):
        model, ticket = model_of(), LotteryTicket()
        fit(model, ticket, epochs=1)
        expected = model_of()
        expected.set_weights(model.get_weights())
        expected = prune_magnitude(expected, 0.6, **arguments)
        for path, mask in ticket.rewind(model, 0.6, **arguments).items():
            np.testing.assert_array_equal(mask, expected[path])


def test_rounds_of_pruning_shrink_the_ticket():
    model, ticket = model_of(), LotteryTicket()
    fit(model, ticket)
    first = ticket.rewind(model, 0.3)
    fit(model)
    second = ticket.rewind(model, 0.6)
    for path, mask in second.items():
        assert not (mask & ~first[path]).any()


@pytest.mark.parametrize("again", [False, True])
def test_rounds_with_late_rewinding_all_go_back_to_the_same_point(again):
    """Whether or not the ticket is in the later fits, too."""
    model, states, ticket = model_of(), States(), LotteryTicket(epoch=1)
    fit(model, ticket, states)
    point = dict(
        zip([v.path for v in model.variables], states.seen[1], strict=False)
    )
    before = None
    for sparsity in schedules.exponential(1 - 0.7**3, rounds=3):
        trained = {
            p: np.abs(m.weight_array())
            for p, m in masked_weights(model).items()
        }
        masks = ticket.rewind(model, sparsity)
        assert keras_snn.sparsity(model) == pytest.approx(sparsity, abs=0.02)
        kept = np.concatenate([trained[p][masks[p]] for p in masks])
        gone = np.concatenate([trained[p][~masks[p]] for p in masks])
        assert kept.min() > gone.max()
        for path, masked in masked_weights(model).items():
            assert before is None or not (masks[path] & ~before[path]).any()
            np.testing.assert_array_equal(
                masked.weight_array(), point[masked.weight.path] * masks[path]
            )
        before = masks
        model.fit(
            X,
            Y,
            batch_size=4,
            initial_epoch=0 if again else 1,
            epochs=3,
            verbose=0,
            callbacks=[ticket] if again else [],
        )
    assert keras_snn.sparsity(model) == pytest.approx(1 - 0.7**3, abs=0.02)


def test_rounds_by_the_formulas_of_the_authors():
    """Of open_lth: 20% of what is left goes in each round, and one more."""
    keras.utils.set_random_seed(1)
    dense = keras.Sequential(
        [keras.Input((5,)), layers.Dense(5, use_bias=False, name="layer")]
    )
    model = keras_snn.sparsify(dense, 0.0)
    compiled(model, keras.optimizers.SGD(0.1))
    masked = masked_weights(model)["layer/kernel"]
    beginning = masked.weight_array().copy()
    x, y = RNG.normal(size=(8, 5)), RNG.normal(size=(8, 5))
    weight, mask, ticket = beginning, np.ones((5, 5), bool), LotteryTicket()
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[ticket])
    for sparsity in schedules.exponential(1 - 0.8**2, rounds=2):
        gradient = x.T @ (x @ weight - y) * 2 / y.size
        trained = np.abs(weight - 0.1 * gradient * mask)
        left = np.sort(trained[mask])
        number = int(np.ceil(0.2 * len(left)))
        theirs = mask & (trained > left[number])
        mask = mask & (trained >= left[number])
        assert mask.sum() == theirs.sum() + 1
        found = ticket.rewind(model, sparsity)["layer/kernel"]
        np.testing.assert_array_equal(found, mask)
        weight = beginning * mask
        np.testing.assert_array_equal(masked.weight_array(), weight)
        model.fit(x, y, batch_size=8, verbose=0)


@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (0, 3), (0, 4), (1, 1)])
def test_a_step_to_rewind_to(epoch, step):
    """Of epochs of two steps."""
    model, ticket, seen = model_of(), LotteryTicket(epoch=epoch, step=step), []
    step += 2 * epoch

    class Steps(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(state(self.model))

    fit(model, ticket, Steps())
    masks = ticket.rewind(model, 0.5)
    assert int(model.optimizer.iterations) == step
    paths = [v.path for v in model.variables]
    point = dict(zip(paths, seen[step], strict=False))
    for path, masked in masked_weights(model).items():
        np.testing.assert_array_equal(
            masked.weight_array(), point[masked.weight.path] * masks[path]
        )


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="Keras runs one at a time there"
)
def test_a_step_within_an_execution_is_that_which_comes_next():
    model, ticket = model_of(), LotteryTicket(step=2)
    model.compile("sgd", "mse", steps_per_execution=3, jit_compile=False)
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[ticket])
    ticket.rewind(model, 0.5)
    assert int(model.optimizer.iterations) == 3


@pytest.mark.parametrize("scaled", [False, True])
def test_learning_rate_rewinding_keeps_what_was_trained(scaled):
    """Weights, BatchNorm's statistics, momentum: all but the step count."""
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model, ticket = model_of(optimizer=optimizer), LotteryTicket(epoch=1)
    fit(model, ticket)
    before = state(model)
    variables = model.variables + optimizer.variables
    masks = ticket.rewind(model, 0.5, weights=False)
    shapes = {mask.shape: mask for mask in masks.values()}
    own = {m.mask.path for m in masked_weights(model).values()}
    for variable, value in zip(variables, before, strict=True):
        if variable.path in own or not value.shape:
            continue
        expected = value * shapes.get(variable.shape, 1)
        np.testing.assert_array_equal(variable.numpy(), expected)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    assert int(inner.iterations) == 2
    assert float(inner.learning_rate) == pytest.approx(0.05)


def test_learning_rate_rewinding_of_a_rate_that_a_callback_set():
    model, ticket = model_of(), LotteryTicket(epoch=1)
    rates = keras.callbacks.LearningRateScheduler(lambda e: 0.1 / (e + 1))
    fit(model, rates, ticket)
    ticket.rewind(model, 0.5, weights=False)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)


@pytest.mark.parametrize(
    "pattern", ["2:4", ConstantFanIn(), Blocks((2, 1))], ids=str
)
def test_a_ticket_of_a_pattern(pattern):
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8), layers.Dense(4)]
    )
    model, ticket = keras_snn.sparsify(dense, 0.0), LotteryTicket()
    ticket.remember(model)
    sparsity = None if pattern == "2:4" else 0.5
    masks = ticket.rewind(model, sparsity, pattern=pattern)
    assert keras_snn.sparsity(model) == 0.5
    for mask in masks.values():
        keras_snn.patterns.get(pattern).check(mask)


def test_a_file_keeps_it_for_another_process(tmp_path):
    path = tmp_path / "ticket.npz"
    model = model_of()
    fit(model, LotteryTicket(filepath=path))
    expected = model_of()
    ticket = LotteryTicket(filepath=path)
    fit(expected, LotteryTicket(), epochs=3)
    masks = ticket.rewind(model, 0.5)
    fresh = model_of()
    for name, masked in masked_weights(model).items():
        np.testing.assert_array_equal(
            masked.weight_array(),
            masked_weights(fresh)[name].weight_array() * masks[name],
        )
    assert [p.name for p in tmp_path.iterdir()] == ["ticket.npz"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"ticket\.npz must be a snapshot"):
        LotteryTicket(filepath=path).rewind(model, 0.5)


def test_a_training_that_is_resumed_finds_the_file(tmp_path):
    """Epoch 0 is not seen again."""
    path = tmp_path / "ticket.npz"
    model = model_of()
    beginning = masked_weights(model)["first/kernel"].weight_array().copy()
    fit(model, LotteryTicket(filepath=path), epochs=2)
    ticket = LotteryTicket(filepath=path)
    model.fit(X, Y, initial_epoch=2, epochs=3, verbose=0, callbacks=[ticket])
    masks = ticket.rewind(model, 0.5)
    np.testing.assert_array_equal(
        masked_weights(model)["first/kernel"].weight_array(),
        beginning * masks["first/kernel"],
    )


@pytest.mark.parametrize("trained", [False, True])
def test_a_model_compiled_anew_keeps_its_new_optimizer(trained):
    model, ticket = model_of(), LotteryTicket()
    fit(model, ticket)
    compiled(model, keras.optimizers.SGD(0.125, momentum=0.9))
    if trained:
        fit(model, epochs=1)
    ticket.rewind(model, 0.5)
    assert float(model.optimizer.learning_rate) == 0.125
    assert int(model.optimizer.iterations) == (2 if trained else 0)


def test_a_loop_of_your_own():
    model, ticket = model_of(), LotteryTicket()
    beginning = masked_weights(model)["last/kernel"].weight_array().copy()
    ticket.remember(model)
    for _ in range(3):
        model.train_on_batch(X, Y)
    masks = ticket.rewind(model, 0.5)
    np.testing.assert_array_equal(
        masked_weights(model)["last/kernel"].weight_array(),
        beginning * masks["last/kernel"],
    )


def test_what_cannot_be_rewound(tmp_path):
    model = model_of()
    with pytest.raises(ValueError, match="has not seen epoch 0|not seen epoch"):
        LotteryTicket().rewind(model, 0.5)
    with pytest.raises(ValueError, match="not seen epoch"):
        LotteryTicket(filepath=tmp_path / "none.npz").rewind(model, 0.5)
    late = LotteryTicket(epoch=5)
    fit(model, late, epochs=1)
    with pytest.raises(ValueError, match="not seen epoch 5"):
        late.rewind(model, 0.5)
    with pytest.raises(ValueError, match="not seen epoch 0, step 7"):
        LotteryTicket(step=7).rewind(model, 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1.0}, r"`sparsity` must be in \[0, 1\)"),
        ({"sparsity": 0.1}, "at least that of the model"),
        ({"sparsity": 0.99}, "at least one weight of each tensor"),
        ({"sparsity": 0.5, "scope": "x"}, "`scope` must be one of"),
        ({"sparsity": 0.5, "distribution": "x"}, "`distribution` must be"),
    ],
)
def test_nothing_changes_on_wrong_arguments(arguments, message):
    model, ticket = model_of(0.4), LotteryTicket()
    fit(model, ticket, epochs=1)
    before = state(model)
    with pytest.raises(ValueError, match=message):
        ticket.rewind(model, **arguments)
    for value, expected in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_nothing_changes_of_another_model_or_one_with_nan():
    model, ticket = model_of(), LotteryTicket()
    fit(model, ticket, epochs=1)
    other = model_of(units=7)
    before = state(other)
    with pytest.raises(ValueError, match="belongs to the model"):
        ticket.rewind(other, 0.5)
    for value, expected in zip(state(other), before, strict=True):
        np.testing.assert_array_equal(value, expected)
    kernel = masked_weights(model)["last/kernel"].weight
    kernel.assign(np.full(kernel.shape, np.nan))
    before = state(model)
    with pytest.raises(ValueError, match="NaN or infinite.*'last/kernel'"):
        ticket.rewind(model, 0.5)
    for value, expected in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("point", [-1, 0.5, "0"])
def test_wrong_points(point):
    with pytest.raises(ValueError, match="`epoch` must be an int >= 0"):
        LotteryTicket(epoch=point)
    with pytest.raises(ValueError, match="`step` must be an int >= 0"):
        LotteryTicket(step=point)


def test_a_model_without_masks():
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    compiled(dense)
    with pytest.raises(ValueError, match="keras_snn.sparsify"):
        fit(dense, LotteryTicket())


def test_config_round_trip():
    ticket = LotteryTicket(epoch=3, filepath="ticket.npz")
    again = LotteryTicket.from_config(ticket.get_config())
    assert (again.epoch, again.filepath) == (3, "ticket.npz")


def test_a_layer_frozen_since_gets_its_own_weights_back():
    names = ("a", "b", "c")
    dense = keras.Sequential(
        [keras.Input((8,))]
        + [layers.Dense(8, use_bias=False, name=name) for name in names]
    )
    model = keras_snn.sparsify(dense, 0.0)
    dense.get_layer("a").trainable = False
    ticket = LotteryTicket()
    ticket.remember(model)
    before = [dense.get_layer(name).kernel.numpy() for name in names]
    dense.get_layer("a").trainable = True
    masks = ticket.rewind(model, 0.5)
    for name, value in zip(names, before, strict=True):
        kernel = dense.get_layer(name).kernel.numpy()
        np.testing.assert_array_equal(kernel, value * masks[f"{name}/kernel"])
