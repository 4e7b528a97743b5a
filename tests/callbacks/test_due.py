"""The clock: intervals, blocks of steps, resumes, landings."""

import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_snn.callbacks.bases.due import BySchedule
from keras_snn.callbacks.bases.due import Due
from keras_snn.schedules import ConstantSparsity
from keras_snn.schedules import DuringTraining
from keras_snn.schedules import PolynomialDecay

pytestmark = pytest.mark.once


def moments(due, epochs, steps, block=1, first_epoch=0, optimizer=None):
    """The moments of a training, as Keras shows it to callbacks."""
    callback = types.SimpleNamespace(
        params={"epochs": epochs, "steps": steps},
        model=types.SimpleNamespace(
            steps_per_execution=block, optimizer=optimizer
        ),
        steps_per_epoch=lambda: steps,
    )
    found = []
    due.train_begins(callback)
    for epoch in range(first_epoch, epochs):
        if optimizer is not None:
            optimizer._iterations = types.SimpleNamespace(value=epoch * steps)
        found.append(due.epoch_begins(epoch, callback))
        for batch in range(0, steps, block):
            found.append(due.batch_begins(batch))
            found.append(due.batch_ends(min(batch + block, steps) - 1))
    found.append(due.train_ends())
    return [moment for moment in found if moment is not None]


def steps_of(*args, **options):
    return [moment.step for moment in moments(*args, **options)]


def test_epochs():
    assert steps_of(Due(2), 7, 3) == [2, 4, 6]
    assert steps_of(Due(2, end=0.5), 8, 3) == [2]
    assert steps_of(Due(3, at_once=True), 7, 3) == [0, 3, 6]
    (moment,) = moments(Due(3), 4, 1)
    assert moment.progress == 0.75 and not moment.landing


def test_steps():
    assert steps_of(Due(5, "steps"), 2, 8) == [5, 10, 15]
    assert steps_of(Due(8, "steps", 0.5), 4, 8) == [8]
    assert steps_of(Due(5, "steps", at_once=True), 1, 8) == [0, 5]
    first, *_ = moments(Due(4, "steps"), 2, 8)
    assert first.progress == 0.25


def test_a_block_of_steps_ends_before_what_was_due_in_it():
    assert steps_of(Due(3, "steps"), 2, 8, block=4) == [4, 8, 12]
    assert steps_of(Due(3, "steps"), 2, 6, block=4) == [4, 6, 10]
    # In an epoch's last block, where training is resumed behind it, too.
    resumed = steps_of(Due(3, "steps"), 3, 8, block=4, first_epoch=1)
    assert resumed == [8, 12, 16, 20]


def test_landing_comes_once_and_is_no_second_update_where_one_is_due():
    due = Due(3, lands=0.5)
    found = moments(due, 10, 2)
    assert [(m.step, m.landing) for m in found] == [
        (3, False),
        (5, True),
        (6, False),
        (9, False),
    ]
    found = moments(Due(8, "steps", lands=0.5), 4, 8)
    assert [(m.step, m.landing) for m in found] == [
        (8, False),
        (16, False),
        (24, False),
    ]
    found = moments(Due(2, end=0.75, lands=0.75), 8, 2)
    assert [(m.step, m.landing) for m in found] == [
        (2, False),
        (4, False),
        (6, True),
    ]


def test_keeping_up_adds_the_last_step_of_each_epoch_and_the_end():
    due = Due(5, "steps", at_once=True, keeps_up=True)
    found = [(m.step, m.landing) for m in moments(due, 2, 4)]
    assert found == [(0, False), (4, True), (5, False), (8, True), (8, True)]


def test_keeping_up_goes_on_behind_a_schedule():
    schedule = PolynomialDecay(0, 0.8, 2, 6, power=1, frequency=3)
    optimizer = types.SimpleNamespace(gradient_accumulation_steps=None)
    due = BySchedule(schedule, keeps_up=True)
    found = moments(due, 3, 5, optimizer=optimizer)
    assert [(m.step, round(m.sparsity, 3), m.landing) for m in found] == [
        (2, 0, False),
        (5, 0.6, True),
        (5, 0.6, False),
        (6, 0.8, True),
        (8, 0.8, False),
        (10, 0.8, True),
        (11, 0.8, False),
        (14, 0.8, False),
        (15, 0.8, True),
        (15, 0.8, True),
    ]
    resumed = moments(due, 3, 5, first_epoch=2, optimizer=optimizer)
    assert resumed == found[-4:]


def test_inside_an_epoch_nothing_falls_on_its_last_block():
    def inside(*args, **options):
        return steps_of(Due(1, "steps", inside=True), *args, **options)

    assert inside(2, 4) == [1, 2, 4, 5, 6]
    assert inside(2, 7, block=3) == [3, 7, 10]
    assert inside(3, 1) == [1, 2]  # There is no other.
    # Nor is what waits for the next epoch lost where training is resumed.
    due = Due(4, "steps", inside=True)
    assert steps_of(due, 2, 7, block=3) == [7, 10]
    assert steps_of(due, 2, 7, block=3, first_epoch=1) == [7, 10]
    assert steps_of(Due(3, "steps", inside=True), 3, 4) == [4, 6, 9]


DUES = st.builds(
    Due,
    st.integers(1, 9),
    st.sampled_from(["epochs", "steps"]),
    st.floats(0.1, 1),
    lands=st.none() | st.floats(0, 1),
    at_once=st.booleans(),
    keeps_up=st.booleans(),
    inside=st.booleans(),
)


@given(DUES, st.integers(1, 6), st.integers(1, 9), st.integers(1, 5), st.data())
def test_a_resumed_training_goes_on_as_the_undisturbed_one(
    due, epochs, steps, block, data
):
    first_epoch = data.draw(st.integers(0, epochs - 1))
    whole = moments(due, epochs, steps, block)
    start = first_epoch * (steps if due.unit == "steps" else 1)
    resumed = moments(due, epochs, steps, block, first_epoch)
    missed = whole[: len(whole) - len(resumed)]
    assert resumed == whole[len(missed) :]
    assert all(
        m.step < start or (m.landing and m.step == start) for m in missed
    )
    if not due.keeps_up:
        landings = [m for m in whole if m.landing]
        assert len(landings) <= (due.lands is not None)


@given(
    st.integers(0, 20),
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 4),
    st.sampled_from([1, 2, 3]),
)
def test_a_schedule_is_asked_of_every_step_and_lands_once(
    begin, span, frequency, block, first_epoch, accumulated
):
    """Of 5 epochs of 12 batches."""
    optimizer = types.SimpleNamespace(gradient_accumulation_steps=accumulated)
    span = min(span, 60 // accumulated - begin)
    if span < 1:
        return
    schedule = PolynomialDecay(0, 0.9, begin, begin + span, frequency=frequency)
    found = moments(
        BySchedule(schedule), 5, 12, block, first_epoch, optimizer=optimizer
    )
    sparsities = [m.sparsity for m in found]
    assert sparsities == sorted(sparsities)
    landings = [m for m in found if m.landing]
    if first_epoch * 12 // accumulated < begin + span:
        assert len(landings) == 1
        assert landings[0].sparsity == 0.9
        assert landings[0].step >= begin + span
    else:
        assert not landings
    if block == 1 and first_epoch == 0:
        expected = list(range(begin, begin + span, frequency))
        assert [m.step for m in found if not m.landing] == expected


def test_a_schedule_in_shares_of_training():
    due = BySchedule(DuringTraining(0.8, begin=0.25, end=0.75, interval=1))
    found = moments(due, 4, 4)
    assert [(m.step, m.landing) for m in found] == [
        (4, False),
        (8, False),
        (12, True),
    ]
    assert found[-1].sparsity == 0.8


@pytest.mark.parametrize("schedule", [(1, 90), (70, -1)])
def test_a_schedule_beyond_training(schedule):
    optimizer = types.SimpleNamespace(gradient_accumulation_steps=None)
    due = BySchedule(ConstantSparsity(0.5, *schedule))
    with pytest.raises(ValueError, match="must begin and end within training"):
        moments(due, 5, 12, optimizer=optimizer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "`interval` must be an int"),
        ((1, "days"), "`unit` must be one of .*'days'"),
        ((1, "steps", 0), "`end` must be a share"),
        ((1, "steps", 1.5), "`end` must be a share"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Due(*arguments)
