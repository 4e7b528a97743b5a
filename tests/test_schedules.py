"""Schedules by hand, and against tensorflow-model-optimization itself."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_snn import GMPUpdate
from keras_snn import sparsify
from keras_snn.schedules import ConstantSparsity
from keras_snn.schedules import DuringTraining
from keras_snn.schedules import PolynomialDecay
from keras_snn.schedules import PruningSchedule
from keras_snn.schedules import exponential
from keras_snn.schedules import preview
from keras_snn.schedules.updates import requests

STEPS = np.arange(1000)
CONSTANT = [
    {"target_sparsity": 0.5, "begin_step": 0},
    {"target_sparsity": 0.0, "begin_step": 17, "frequency": 3},
    {"target_sparsity": 0.9, "begin_step": 5, "end_step": 500, "frequency": 7},
    {"target_sparsity": 0.3, "begin_step": 40, "end_step": 40, "frequency": 1},
]
POLYNOMIAL = [
    {
        "initial_sparsity": 0.0,
        "final_sparsity": 0.8,
        "begin_step": 0,
        "end_step": 1000,
    },
    {
        "initial_sparsity": 0.1,
        "final_sparsity": 0.95,
        "begin_step": 100,
        "end_step": 800,
        "frequency": 13,
    },
    {
        "initial_sparsity": 0.5,
        "final_sparsity": 0.6,
        "begin_step": 3,
        "end_step": 10,
        "power": 1,
        "frequency": 1,
    },
    {
        "initial_sparsity": 0.9,
        "final_sparsity": 0.2,
        "begin_step": 250,
        "end_step": 999,
        "power": 0.5,
        "frequency": 50,
    },
]
OURS = [ConstantSparsity(**a) for a in CONSTANT]
OURS += [PolynomialDecay(**a) for a in POLYNOMIAL]


@pytest.mark.once
def test_constant_sparsity_by_hand():
    schedule = ConstantSparsity(0.5, begin_step=10, end_step=20, frequency=5)
    due = [step for step in range(40) if schedule(step)[0]]
    assert due == [10, 15, 20]
    assert {schedule(step)[1] for step in range(40)} == {0.5}
    endless = ConstantSparsity(0.5, begin_step=10)
    assert [step for step in STEPS if endless(step)[0]] == list(
        range(10, 1000, 100)
    )


@pytest.mark.once
def test_polynomial_decay_by_hand():
    schedule = PolynomialDecay(0.2, 0.8, 10, 20, power=2, frequency=5)
    for step, due, wanted in (
        (0, False, 0.2),
        (10, True, 0.2),
        (15, True, 0.65),
        (19, False, 0.794),
        (20, True, 0.8),
        (25, False, 0.8),
        (30, False, 0.8),
    ):
        assert schedule(step) == (due, pytest.approx(wanted))
    assert schedule(20)[1] == schedule(10**9)[1] == 0.8


@pytest.mark.once
def test_the_papers_golden_values():
    """s = 0.8, 200 epochs, every 4, from 10% to 80% of training."""
    schedule = DuringTraining(0.8).at(epochs=200, steps_per_epoch=391)
    due = [epoch for epoch in range(200) if schedule(epoch * 391)[0]]
    assert due == list(range(20, 161, 4))
    for epoch, value in {
        40: 0.2962,
        80: 0.6507,
        120: 0.7813,
        140: 0.7977,
    }.items():
        assert schedule(epoch * 391)[1] == pytest.approx(value, abs=5e-5)
    assert schedule(160 * 391) == (True, 0.8)
    assert not any(schedule(160 * 391 + step)[0] for step in range(1, 2000))


@pytest.mark.once
def test_during_training_in_steps():
    schedule = DuringTraining(
        0.9, begin=0.2, end=0.7, interval=2, initial_sparsity=0.1, power=1
    ).at(epochs=10, steps_per_epoch=7, first_step=100)
    assert vars(schedule) == {
        "begin_step": 114,
        "end_step": 149,
        "frequency": 14,
        "initial_sparsity": 0.1,
        "final_sparsity": 0.9,
        "power": 1,
    }
    whole = DuringTraining(0.9, begin=0, end=1, interval=1).at(3, 5)
    assert (whole.begin_step, whole.end_step) == (0, 15)


@pytest.mark.once
@given(
    st.floats(0, 0.99),
    st.floats(0, 0.99),
    st.integers(0, 50),
    st.integers(1, 50),
    st.sampled_from([0.5, 1, 2, 3]),
)
def test_a_decay_stays_between_its_ends_and_never_turns(
    initial, final, begin, span, power
):
    schedule = PolynomialDecay(initial, final, begin, begin + span, power)
    values = schedule(np.arange(120))[1]
    low, high = sorted((initial, final))
    assert ((values >= low - 1e-12) & (values <= high + 1e-12)).all()
    turns = np.diff(values) * (1 if final >= initial else -1)
    assert (turns >= -1e-12).all()
    assert (values[begin + span :] == final).all()


@pytest.mark.parametrize("schedule", OURS)
def test_ints_arrays_and_tensors_get_one_answer(schedule):
    due, values = schedule(STEPS)
    values = np.broadcast_to(values, STEPS.shape)
    for step in (0, 3, 17, 40, 250, 500, 999):
        for form in (
            step,
            np.int64(step),
            keras.ops.convert_to_tensor(step, "int32"),
        ):
            one_due, value = schedule(form)
            assert bool(one_due) == due[step]
            assert float(value) == pytest.approx(values[step], abs=1e-6)


@pytest.mark.once
@pytest.mark.parametrize("schedule", [*OURS, DuringTraining(0.9, power=2)])
def test_config_round_trip(schedule):
    config = schedule.get_config()
    assert type(schedule).from_config(config).get_config() == config
    if isinstance(schedule, PruningSchedule):
        assert config["class_name"] == type(schedule).__name__
        inner = type(schedule).from_config(config["config"])
        assert inner.get_config() == config


@pytest.mark.once
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantSparsity(1.0, 0), r"`target_sparsity` must be in"),
        (lambda: ConstantSparsity(-0.1, 0), r"`target_sparsity` must be in"),
        (lambda: ConstantSparsity(0.5, -1), "`begin_step` must be >= 0"),
        (lambda: ConstantSparsity(0.5, 5, 4), "ends before it begins"),
        (lambda: ConstantSparsity(0.5, 5, -2), "ends before it begins"),
        (lambda: ConstantSparsity(0.5, 5, 9, 0), "`frequency` must be > 0"),
        (lambda: PolynomialDecay(0.0, 1.0, 0, 9), "`final_sparsity` must be"),
        (lambda: PolynomialDecay(-1, 0.5, 0, 9), "`initial_sparsity` must be"),
        (lambda: PolynomialDecay(0, 0.5, 9, 9), "greater than `begin_step`"),
        (lambda: PolynomialDecay(0, 0.5, 9, -1), "greater than `begin_step`"),
        (lambda: PolynomialDecay(0, 0.5, 9, 8), "ends before it begins"),
        (lambda: DuringTraining(1.0), "`final_sparsity` must be"),
        (lambda: DuringTraining(0.5, begin=0.8), "0 <= begin < end <= 1"),
        (lambda: DuringTraining(0.5, end=1.1), "0 <= begin < end <= 1"),
        (lambda: DuringTraining(0.5, begin=-0.1), "0 <= begin < end <= 1"),
        (lambda: DuringTraining(0.5, interval=0), "`interval` must be an int"),
        (
            lambda: DuringTraining(0.5, interval=1.5),
            "`interval` must be an int",
        ),
        (lambda: DuringTraining(0.5, initial_sparsity=2), "`initial_sparsity`"),
    ],
)
def test_schedules_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture(scope="module")
def tfmot():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tfmot's schedules compute in TensorFlow")
    return pytest.importorskip("tensorflow_model_optimization").sparsity.keras


@pytest.mark.parametrize("arguments", [*CONSTANT, *POLYNOMIAL])
def test_tfmot_gives_the_same_answers(tfmot, arguments):
    import tensorflow as tf

    name = "ConstantSparsity" if "target_sparsity" in arguments else None
    name = name or "PolynomialDecay"
    ours = {c.__name__: c for c in (ConstantSparsity, PolynomialDecay)}[name]
    ours, theirs = ours(**arguments), getattr(tfmot, name)(**arguments)
    assert ours.get_config() == theirs.get_config()
    expected_due, expected = theirs(tf.constant(STEPS))
    for answers in (
        ours(STEPS),
        ours(tf.constant(STEPS)),
        tf.function(ours)(tf.constant(STEPS)),
    ):
        due, values = (np.asarray(answer) for answer in answers)
        np.testing.assert_array_equal(due, expected_due)
        np.testing.assert_allclose(
            np.broadcast_to(values, STEPS.shape),
            np.broadcast_to(expected, STEPS.shape),
            atol=1e-6,
        )


def small_fit(schedule):
    keras.utils.set_random_seed(0)
    model = sparsify(
        keras.Sequential([keras.Input((10,)), keras.layers.Dense(20)]), 0.0
    )
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(10, 10))
    y = np.zeros((10, 20))
    return model.fit(
        x,
        y,
        batch_size=2,
        epochs=3,
        verbose=0,
        callbacks=[GMPUpdate(schedule)],
    ).history["sparsity"]


def test_gmp_takes_schedules_of_tfmot(tfmot):
    arguments = {"begin_step": 2, "end_step": 12, "frequency": 3}
    theirs = tfmot.PolynomialDecay(0.1, 0.8, **arguments)
    expected = small_fit(PolynomialDecay(0.1, 0.8, **arguments))
    assert small_fit(theirs) == expected
    assert preview(theirs, 3, 5) == pytest.approx(expected, abs=1e-3)
    assert expected[-1] == pytest.approx(0.8)
    assert small_fit(tfmot.ConstantSparsity(0.5, 7))[1:] == [0.5, 0.5]
    with pytest.raises(ValueError, match="end_step=16.*ends at step 15"):
        small_fit(tfmot.PolynomialDecay(0.1, 0.8, 0, 16))


@pytest.mark.parametrize("arguments", [CONSTANT[2], POLYNOMIAL[1]])
def test_a_schedule_of_tfmot_comes_back_as_the_same_of_ours(tfmot, arguments):
    constant = "target_sparsity" in arguments
    name = "ConstantSparsity" if constant else "PolynomialDecay"
    theirs = getattr(tfmot, name)(**arguments)
    again = GMPUpdate.from_config(GMPUpdate(theirs).get_config())
    assert isinstance(again.schedule, PruningSchedule)
    assert again.schedule.get_config() == theirs.get_config()


@pytest.mark.filterwarnings("ignore")
def test_ours_run_inside_tfmot(tfmot):
    """On a tf_keras model, which is what tfmot prunes, in its graph."""
    import tf_keras

    model = tf_keras.Sequential(
        [tf_keras.layers.Dense(20, use_bias=False, input_shape=(10,))]
    )
    pruned = tfmot.prune_low_magnitude(
        model,
        pruning_schedule=PolynomialDecay(0.0, 0.75, 0, 6, frequency=2),
    )
    pruned.compile("sgd", "mse")
    pruned.fit(
        np.ones((10, 10)),
        np.zeros((10, 20)),
        batch_size=1,
        verbose=0,
        callbacks=[tfmot.UpdatePruningStep()],
    )
    kernel = tfmot.strip_pruning(pruned).layers[0].kernel.numpy()
    assert (kernel == 0).mean() == pytest.approx(0.75, abs=0.005)


@pytest.mark.once
def test_a_schedule_of_your_own_needs_two_methods():
    with pytest.raises(TypeError, match="sparsity_at"):
        PruningSchedule(0, 1, 1)


@pytest.mark.parametrize("initial", [0.0, 0.5])
def test_rounds_keep_the_same_share_each(initial):
    sparsities = exponential(0.9, 4, initial_sparsity=initial)
    densities = 1 - np.array([initial, *sparsities])
    shares = densities[1:] / densities[:-1]
    np.testing.assert_allclose(shares, shares[0])
    assert sparsities[-1] == 0.9


def test_twenty_percent_of_what_is_left_a_round():
    sparsities = exponential(1 - 0.8**3, rounds=3)
    np.testing.assert_allclose(sparsities, [0.2, 0.36, 0.488])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 3), r"`sparsity` must be in \[0, 1\)"),
        ((0.5, 0), "`rounds` must be an int >= 1"),
        ((0.5, 2.5), "`rounds` must be an int >= 1"),
    ],
)
def test_rounds_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        exponential(*arguments)


@pytest.mark.once
def test_a_preview_tells_the_sparsity_at_the_end_of_each_epoch():
    line = DuringTraining(0.9).preview(epochs=5, steps_per_epoch=100)
    assert repr(line) == str(line)
    assert str(line) == (
        "epoch 1: 0.24, epoch 2: 0.71, epoch 3: 0.88, epoch 4: 0.90"
    )
    assert len(line) == 5 and line[-1] == 0.9
    late = preview(ConstantSparsity(0.5, 25), 4, steps_per_epoch=10)
    assert late == (0, 0, 0.5, 0.5) and str(late) == "epoch 3: 0.50"
    at_once = ConstantSparsity(0.5, 0, end_step=0)
    assert at_once.preview(2, 3) == (0.5, 0.5)
    # One that comes behind the last step of an epoch counts for that epoch.
    landing = PolynomialDecay(0, 0.8, 2, 6, power=1, frequency=3)
    assert landing.preview(3, 3) == pytest.approx((0, 0.8, 0.8))
    never = ConstantSparsity(0.5, 99).preview(4, 10)
    assert str(never) == "never, in 4 epochs"


@pytest.mark.once
def test_few_epochs_are_no_cliff():
    for epochs in (3, 5, 10, 20, 40):
        sparsities = [
            sparsity
            for _, sparsity in requests(
                DuringTraining(0.9).at(epochs, 100), epochs * 100
            )
        ]
        assert max(np.diff(sparsities)) < 0.3, epochs
    paper = DuringTraining(0.9).at(200, 10)
    assert paper.get_config() == (
        DuringTraining(0.9, interval=4).at(200, 10).get_config()
    )


def test_a_preview_is_what_gmp_does():
    schedules = [
        DuringTraining(0.9),
        PolynomialDecay(0.1, 0.8, 3, 14, frequency=4),
        ConstantSparsity(0.5, 7, frequency=2),
        TwoStages(),
    ]
    for schedule in schedules:
        model = sparsify(
            keras.Sequential([keras.Input((20,)), keras.layers.Dense(50)]), 0.0
        )
        model.compile("sgd", "mse", jit_compile=False)
        history = model.fit(
            np.ones((15, 20)),
            np.ones((15, 50)),
            batch_size=3,
            epochs=4,
            verbose=0,
            callbacks=[GMPUpdate(schedule)],
        ).history["sparsity"]
        assert history == pytest.approx(preview(schedule, 4, 5), abs=1e-3)


class TwoStages:
    """Of the protocol, and nothing besides."""

    def __call__(self, step):
        return step in (5, 13), 0.5 if step < 10 else 0.75
