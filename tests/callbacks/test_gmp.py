"""GMP's golden values, its timing, and schedules that cannot work."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import GMPUpdate
from keras_snn import get_masks
from keras_snn import patterns
from keras_snn import sparsity
from keras_snn.masking.mask_state import masked_weights
from keras_snn.patterns import Blocks
from keras_snn.patterns import ConstantFanIn
from keras_snn.schedules import ConstantSparsity
from keras_snn.schedules import DuringTraining
from keras_snn.schedules import PolynomialDecay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 4)).astype("float32")
Y = RNG.normal(size=(10, 3)).astype("float32")


def model_of(start=0.0, *, optimizer=None, **options):
    keras.utils.set_random_seed(7)
    dense = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(50, activation="relu", name="first"),
            layers.Dense(16, name="middle"),
            layers.Dense(3, name="last"),
        ]
    )
    model = keras_snn.sparsify(dense, start)
    optimizer = optimizer or keras.optimizers.SGD(0.1, momentum=0.9)
    options.setdefault("run_eagerly", True)
    model.compile(optimizer, "mse", **options)
    return model


class Sparsities(keras.callbacks.Callback):
    """The sparsity that each batch trains at, and that of the end."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(sparsity(self.model))

    def on_train_end(self, logs=None):
        self.seen.append(sparsity(self.model))


def fit(
    model,
    schedule,
    *,
    epochs=2,
    scope="global",
    pattern=None,
    data=None,
    **options,
):
    """Five batches an epoch; the sparsities seen, in whole thousandths."""
    watch = Sparsities()
    x, y = (X, Y) if data is None else (data, None)
    options |= {"batch_size": 2} if data is None else {"shuffle": False}
    model.fit(
        x,
        y,
        epochs=epochs,
        verbose=0,
        callbacks=[GMPUpdate(schedule, scope=scope, pattern=pattern), watch],
        **options,
    )
    return [round(value, 3) for value in watch.seen]


def test_the_papers_golden_values():
    """s = 0.8, 200 epochs, every 4, from 10% to 80% of training."""
    dense = keras.Sequential(
        [keras.Input((200,)), layers.Dense(100, use_bias=False)]
    )
    model = keras_snn.sparsify(dense, 0.0)
    callback = GMPUpdate(DuringTraining(0.8, begin=0.1, end=0.8, interval=4))
    callback.set_model(model)
    callback.set_params({"epochs": 200, "steps": 2})
    callback.on_train_begin()
    at_epoch = {}
    for epoch in range(200):
        callback.on_epoch_begin(epoch)
        for batch in range(2):
            callback.on_train_batch_begin(batch)
            if batch == 0:
                at_epoch[epoch] = round(sparsity(model), 4)
            callback.on_train_batch_end(batch)
        callback.on_epoch_end(epoch)
    for epoch, value in {
        20: 0.0,
        40: 0.2962,
        80: 0.6507,
        120: 0.7813,
        140: 0.7977,
        160: 0.8,
    }.items():
        assert at_epoch[epoch] == pytest.approx(value, abs=1.01e-4)
    assert at_epoch[41] == at_epoch[43] == at_epoch[40] < at_epoch[44]
    assert sparsity(model) == 0.8


def test_each_batch_trains_at_the_sparsity_of_its_step():
    schedule = PolynomialDecay(0.2, 0.8, 2, 8, power=1, frequency=3)
    seen = fit(model_of(), schedule)
    assert seen == [0, 0, 0.2, 0.2, 0.2, 0.5, 0.5, 0.5, 0.8, 0.8, 0.8]


@pytest.mark.parametrize("end", [7, 10])
def test_the_last_update_lands_whether_or_not_the_frequency_meets_it(end):
    seen = fit(model_of(), PolynomialDecay(0, 0.7, 0, end, frequency=4))
    assert seen[end - 1] < 0.7
    assert seen[end:] == [0.7] * (11 - end)


def test_a_constant_sparsity():
    seen = fit(model_of(), ConstantSparsity(0.6, 3, frequency=2))
    assert seen == [0] * 3 + [0.6] * 8


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_masks_only_shrink_and_counts_are_exact(scope):
    dense = keras.Sequential(
        [keras.Input((5,)), *(layers.Dense(n) for n in (13, 7, 11, 3))]
    )
    model = keras_snn.sparsify(dense, 0.0)
    callback = GMPUpdate(ConstantSparsity(0.9, 0), scope=scope)
    before = get_masks(model)
    size = sum(mask.size for mask in before.values())
    for wanted in np.linspace(0.005, 0.9, 120):
        callback.update(model, wanted)
        after = get_masks(model)
        active = sum(int(mask.sum()) for mask in after.values())
        assert active == round((1 - wanted) * size)
        for path, mask in after.items():
            assert not (mask & ~before[path]).any()
            if scope == "layer":
                assert abs(mask.sum() - (1 - wanted) * mask.size) < 1
        before = after


def test_the_smallest_go_over_all_layers_or_within_each():
    dense = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(2, use_bias=False, name="a"),
            layers.Dense(2, use_bias=False, name="b"),
        ]
    )
    for scope, expected in (
        ("global", [[[0, 0], [0, 1]], [[1, 1], [1, 0]]]),
        ("layer", [[[0, 0], [1, 1]], [[1, 0], [1, 0]]]),
    ):
        model = keras_snn.sparsify(dense, 0.0)
        dense.set_weights(
            [
                np.array([[0.1, -0.2], [0.3, -0.6]]),
                np.array([[-0.9, 0.5], [0.7, 0.4]]),
            ]
        )
        GMPUpdate(ConstantSparsity(0.5, 0), scope=scope).update(model, 0.5)
        for mask, wanted in zip(
            get_masks(model).values(), expected, strict=True
        ):
            np.testing.assert_array_equal(mask, wanted)
        keras_snn.strip(model)


def test_nothing_happens_below_the_sparsity_there_is():
    model = model_of(0.5)
    before = get_masks(model)
    GMPUpdate(ConstantSparsity(0.3, 0)).update(model, 0.3)
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, before[path])


@pytest.mark.parametrize("accumulation", [2, 3, 10])
def test_steps_are_updates_of_the_optimizer(accumulation):
    """Epochs of five batches end in the midst of an accumulation."""
    optimizer = keras.optimizers.SGD(
        0.1, gradient_accumulation_steps=accumulation
    )
    end = 20 // accumulation
    schedule = PolynomialDecay(0.1, 0.8, 0, end, power=1, frequency=1)
    model = model_of(optimizer=optimizer, run_eagerly=False)
    seen = fit(model, schedule, epochs=4)
    wanted = [
        round(0.1 + 0.7 * min(batch // accumulation, end) / end, 3)
        for batch in range(21)
    ]
    np.testing.assert_allclose(seen, wanted, atol=1e-3)
    assert seen[-1] == 0.8


def test_training_that_goes_on_counts_on():
    model = model_of()
    schedule = PolynomialDecay(0, 0.8, 0, 15, power=1, frequency=5)
    with pytest.raises(ValueError, match="must begin and end within training"):
        fit(model, schedule, epochs=2)
    watch = []
    for _ in range(3):
        watch += fit(model, GMPOf(schedule), epochs=1)[:-1]
    np.testing.assert_allclose(watch[::5], [0, 0.267, 0.533], atol=1e-3)


class GMPOf:
    """A schedule by the protocol alone: no end that could be checked."""

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, step):
        return self.schedule(step)


def test_a_fit_from_a_later_epoch_counts_shares_of_all_of_training():
    model = model_of()
    schedule = DuringTraining(0.8, begin=0.0, end=0.5, interval=1, power=1)
    seen = fit(model, schedule, epochs=4, initial_epoch=1)
    np.testing.assert_allclose(seen[::5], [0.4, 0.8, 0.8, 0.8], atol=1e-3)


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="Keras runs one at a time there"
)
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras 3.6.
def test_several_steps_an_execution():
    model = model_of(run_eagerly=False, steps_per_execution=3)
    schedule = PolynomialDecay(0.1, 0.7, 0, 9, power=1, frequency=2)
    seen = fit(model, schedule, epochs=2)
    # Batches 0-2, 3-4 of each epoch are one execution; steps 0, 2, 6, 8.
    np.testing.assert_allclose(
        seen, [0.1, 0.1 + 0.6 * 2 / 9, 0.1 + 0.6 * 4 / 9, 0.633, 0.7], atol=2e-3
    )


def batches():
    for start in range(0, 10, 2):
        yield X[start : start + 2], Y[start : start + 2]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_of_unknown_length():
    schedule = PolynomialDecay(0, 0.8, 0, 4, frequency=2)
    seen = fit(model_of(), schedule, epochs=1, data=batches())
    # Keras 3.6 takes a first batch to build by: one less is trained on.
    assert seen[:5] == [0, 0, 0.7, 0.7, 0.8] and seen[-1] == 0.8
    model = model_of()
    with pytest.raises(ValueError, match="`steps_per_epoch`.*unknown length"):
        fit(model, DuringTraining(0.8), epochs=1, data=batches())
    assert sparsity(model) == 0
    seen = fit(
        model,
        DuringTraining(0.8, begin=0.0, end=1.0, interval=1),
        epochs=1,
        data=batches(),
        steps_per_epoch=5,
    )
    assert seen[:6] == [0, 0, 0, 0, 0, 0.8]


def test_history_and_summary_know_the_sparsity():
    model = model_of()
    lines = []
    callback = GMPUpdate(DuringTraining(0.8, begin=0, end=0.5, interval=1))
    history = model.fit(
        X,
        Y,
        epochs=4,
        validation_data=(X, Y),
        verbose=0,
        callbacks=[callback],
    ).history
    np.testing.assert_allclose(
        history["sparsity"], [0, 0.8, 0.8, 0.8], atol=1e-3
    )
    keras_snn.summary(model, print_fn=lines.append)
    assert "requested: 0.8" in lines[0]


def test_a_loop_of_your_own_resets_its_optimizer():
    model = model_of()
    optimizer = keras.optimizers.Adam(0.1)
    variables = model.trainable_variables
    optimizer.apply([v.value + 1 for v in variables], variables)
    GMPUpdate(ConstantSparsity(0.5, 0)).update(model, 0.5, optimizer=optimizer)
    mask = get_masks(model)["last/kernel"]
    for slot in optimizer.variables:
        if slot.shape == mask.shape:
            assert slot.numpy()[mask].all()
            assert not slot.numpy()[~mask].any()


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        (PolynomialDecay(0, 0.8, 0, 11), "end_step=11.*ends at step 10"),
        (ConstantSparsity(0.8, 5, 11), "end_step=11.*ends at step 10"),
        (ConstantSparsity(0.8, 11), "begin_step=11.*ends at step 10"),
    ],
)
def test_a_schedule_that_training_does_not_reach(schedule, reason):
    model = model_of()
    with pytest.raises(ValueError, match=f"never reached.*{reason}"):
        fit(model, schedule)
    assert sparsity(model) == 0


def test_wrong_arguments():
    with pytest.raises(TypeError, match="`schedule` must be a PruningSchedule"):
        GMPUpdate(0.8)
    with pytest.raises(ValueError, match="`scope` must be one of.*'local'"):
        GMPUpdate(ConstantSparsity(0.5, 0), scope="local")
    for schedule in (ConstantSparsity(0.8, 0), DuringTraining(0.8)):
        with pytest.raises(ValueError, match="of its own, 0.5"):
            GMPUpdate(schedule, pattern="2:4")
    schedule = ConstantSparsity(0.4, 0)
    with pytest.raises(ValueError, match="exclude.*'first/kernel'"):
        fit(model_of(), schedule, pattern="3:5")


@pytest.mark.parametrize("wanted", [-0.1, 1.0, 0.9999, float("nan")])
def test_wrong_sparsities_change_nothing(wanted):
    model = model_of()
    with pytest.raises(ValueError, match="must"):
        GMPUpdate(ConstantSparsity(0.5, 0)).update(model, wanted)
    assert sparsity(model) == 0


def test_a_model_without_masks():
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    dense.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ValueError, match="keras_snn.sparsify"):
        fit(dense, ConstantSparsity(0.5, 0))


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_weight_that_is_nan_is_named_and_nothing_changes(scope):
    model = model_of()
    kernel = masked_weights(model)["middle/kernel"].weight
    kernel.assign(np.full(kernel.shape, np.inf))
    callback = GMPUpdate(ConstantSparsity(0.5, 0), scope=scope)
    with pytest.raises(ValueError, match="NaN or infinite.*'middle/kernel'"):
        callback.update(model, 0.5)
    assert sparsity(model) == 0


@keras.saving.register_keras_serializable(package="gmp_tests")
class Halfway(keras_snn.schedules.PruningSchedule):
    def __init__(self, begin_step=0, end_step=1, frequency=1):
        super().__init__(begin_step, end_step, frequency)

    def sparsity_at(self, step):
        return 0.5

    def get_config(self):
        return self._config()


@pytest.mark.parametrize(
    "schedule",
    [
        ConstantSparsity(0.3, 1, 5, 2),
        PolynomialDecay(0.1, 0.7, 2, 9, power=2, frequency=3),
        DuringTraining(
            0.7, begin=0.2, end=0.9, interval=3, initial_sparsity=0.1, power=1
        ),
        Halfway(1, 7, 3),
    ],
)
def test_config_round_trip(schedule):
    callback = GMPUpdate(schedule, scope="layer")
    config = callback.get_config()
    again = GMPUpdate.from_config(config)
    assert again.get_config() == config
    assert again.scope == "layer"
    assert type(again.schedule) is type(schedule)
    assert vars(again.schedule) == vars(schedule)


def test_steps_by_the_formulas_of_tfmot():
    """Two updates of one layer, values and momentum included."""
    x, y = X[:, :4], Y
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, use_bias=False, name="layer")]
    )
    model = keras_snn.sparsify(dense, 0.0)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "mse", run_eagerly=True)
    masked = masked_weights(model)["layer/kernel"]
    weight, velocity = masked.weight_array().astype("float64"), 0
    mask = np.ones((4, 3), bool)
    for step in range(8):
        if step in (2, 5):
            sparsity = 0.75 + (0.25 - 0.75) * (1 - (step - 2) / 3) ** 3
            magnitudes = np.sort(np.abs(weight), axis=None)[::-1]
            k = max(round(12 * (1 - sparsity)), 1)
            mask = np.abs(weight) >= magnitudes[k - 1]
            weight, velocity = weight * mask, velocity * mask
        gradient = x.T @ (x @ weight - y) * 2 / y.size
        velocity = 0.9 * velocity - 0.1 * gradient * mask
        weight = weight + velocity
    schedule = PolynomialDecay(0.25, 0.75, 2, 5, frequency=3)
    callback = GMPUpdate(schedule, scope="layer")
    model.fit(x, y, batch_size=10, epochs=8, verbose=0, callbacks=[callback])
    np.testing.assert_array_equal(masked.mask_array(), mask)
    np.testing.assert_allclose(masked.weight_array(), weight, atol=1e-5)


def test_layers_that_are_sparser_already_stay_so():
    """From ERK's densities to one for all, the total exact at each update."""
    keras.utils.set_random_seed(7)
    dense = keras.Sequential(
        [keras.Input((20,)), *(layers.Dense(n) for n in (64, 64, 10))]
    )
    model = keras_snn.sparsify(dense, 0.5)
    callback = GMPUpdate(ConstantSparsity(0.9, 0), scope="layer")
    before = {path: mask.sum() for path, mask in get_masks(model).items()}
    size = sum(mask.size for mask in get_masks(model).values())
    for wanted in (0.51, 0.55, 0.66, 0.7, 0.9):
        callback.update(model, wanted)
        masks = get_masks(model)
        counts = {path: mask.sum() for path, mask in masks.items()}
        assert sum(counts.values()) == round((1 - wanted) * size)
        pruned = [p for p in counts if counts[p] < before[p]]
        densities = [masks[p].mean() for p in pruned]
        assert pruned and np.ptp(densities) < 0.003
        for path in set(counts) - set(pruned):
            assert masks[path].mean() <= min(densities) + 0.003
        before = counts
    assert np.ptp([mask.mean() for mask in masks.values()]) < 0.003


def test_a_training_from_erk_to_one_sparsity_for_all():
    model = model_of(0.5)
    schedule = DuringTraining(
        0.9, begin=0, end=0.8, interval=1, initial_sparsity=0.5
    )
    fit(model, schedule, epochs=5, scope="layer")
    for mask in get_masks(model).values():
        assert mask.mean() == pytest.approx(0.1, abs=1 / mask.size)


@pytest.mark.parametrize(
    "pattern", [ConstantFanIn(), Blocks((2, 1))], ids=["fan-in", "blocks"]
)
@pytest.mark.parametrize("scope", ["global", "layer", "lamp"])
def test_every_update_has_the_pattern(pattern, scope):
    dense = keras.Sequential(
        [keras.Input((16,)), layers.Dense(12), layers.Dense(8)]
    )
    model = keras_snn.sparsify(dense, 0.0)
    schedule = ConstantSparsity(0.75, 0)
    callback = GMPUpdate(schedule, scope=scope, pattern=pattern)
    before = get_masks(model)
    for wanted in (0.25, 0.5, 0.75):
        callback.update(model, wanted)
        for path, mask in get_masks(model).items():
            pattern.check(mask)
            assert not (mask & ~before[path]).any()
        before = get_masks(model)
        assert sparsity(model) == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_on_the_way_to_n_of_m_what_the_pattern_keeps_stays(scope):
    """As jaxpruner's iterative N:M pruning, one layer's formula by hand."""
    dense = keras.Sequential(
        [keras.Input((16,)), layers.Dense(12, use_bias=False)]
    )
    model = keras_snn.sparsify(dense, 0.0)
    (masked,) = masked_weights(model).values()
    callback = GMPUpdate(ConstantSparsity(0.5, 0), scope=scope, pattern="2:4")
    magnitude = np.abs(masked.weight_array())
    groups = magnitude.reshape(4, 4, 12)
    kept = (groups.argsort(axis=1).argsort(axis=1) >= 2).reshape(16, 12)
    score = np.where(kept, magnitude + magnitude.max(), magnitude)
    for wanted in (0.125, 0.25, 0.5):
        callback.update(model, wanted)
        count = round((1 - wanted) * 192)
        expected = score >= np.sort(score, axis=None)[-count]
        np.testing.assert_array_equal(masked.mask_array(), expected)
    patterns.NM(2, 4).check(masked.mask_array())


def test_a_score_and_a_flag_are_a_method():
    class Lowest(GMPUpdate):
        revive = True

        def scores(self, weights):
            return {p: -np.abs(m.weight_array()) for p, m in weights.items()}

    model = model_of(0.5)
    weights = masked_weights(model)
    before = {p: np.abs(m.weight_array()) for p, m in weights.items()}
    Lowest(ConstantSparsity(0.5, 0), scope="layer").update(model, 0.5)
    for path, mask in get_masks(model).items():
        assert before[path][mask].max() <= before[path][~mask].min()


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.875])
def test_the_masks_are_those_of_tfmot(sparsity):
    """Its pruning of one tensor; layers of which these leave whole counts."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tfmot computes in TensorFlow")
    pytest.importorskip("tensorflow_model_optimization")
    import tensorflow as tf
    from tensorflow_model_optimization.python.core.sparsity.keras import (
        pruning_impl,
    )

    model = model_of()
    weights = {
        path: masked.weight_array().copy()
        for path, masked in masked_weights(model).items()
    }
    theirs = pruning_impl.Pruning(
        lambda: 0, [], lambda step: (True, sparsity), (1, 1), "AVG"
    )
    schedule = ConstantSparsity(sparsity, 0)
    GMPUpdate(schedule, scope="layer").update(model, sparsity)
    for path, ours in get_masks(model).items():
        _, mask = theirs._maybe_update_block_mask(tf.constant(weights[path]))
        np.testing.assert_array_equal(ours, mask.numpy() > 0)
