import io

import pytest
import rich.console

from keras_snn.experiments import Trial
from keras_snn.experiments import cost
from keras_snn.experiments import view

pytestmark = pytest.mark.once


def test_counts_say_what_is_left():
    counts = view.Counts(done=1, left=3, seconds=5400)
    assert str(counts) == "1 done, 3 left, about 1.5 h to go"
    counts.count({"error": "NaN"})
    counts.count({"clean_accuracy": 0.5})
    assert (counts.done, counts.failed, counts.left) == (2, 1, 1)
    assert "2 done, 1 failed, 1 left" in str(counts)


@pytest.mark.parametrize("terminal", [True, False])
def test_both_views_tell_the_same(terminal):
    file = io.StringIO()
    console = rich.console.Console(
        file=file, force_terminal=terminal, width=100
    )
    lines = []
    shown = view.Live(console) if terminal else view.Lines(lines.append)
    counts = view.Counts(left=1)
    with shown:
        shown.begins("SET at sparsity 0.9", counts)
        shown.epoch("SET at sparsity 0.9", "epoch 1/2: loss [0.5]")
        counts.count({})
        shown.ends("SET at sparsity 0.9", "clean accuracy 0.500", counts)
    text = file.getvalue() if terminal else "\n".join(lines)
    for part in (
        "[0 done, 1 left] SET at sparsity 0.9",
        "clean accuracy 0.500",
    ):
        assert part in text


def test_trials_beside_each_other_are_told_apart():
    lines, file = [], io.StringIO()
    console = rich.console.Console(file=file, force_terminal=True, width=100)
    counts = view.Counts(left=2)
    for shown in (view.Lines(lines.append), view.Live(console)):
        with shown:
            shown.begins("one", counts)
            shown.begins("other", counts)
            shown.epoch("one", "epoch 1/2")
            shown.epoch("other", "epoch 2/2")
            shown.ends("one", "clean accuracy 0.500", counts)
            shown.epoch("other", "evaluated")
    assert lines[2:] == [
        "    one: epoch 1/2",
        "    other: epoch 2/2",
        "    one: clean accuracy 0.500",
        "    evaluated",
    ]
    text = file.getvalue()
    assert "one epoch 1/2" in text and "other epoch 2/2" in text


def test_lines_are_for_what_is_no_terminal(capsys):
    shown = view.for_terminal()
    assert type(shown) is view.Lines
    shown.say("a line")
    assert capsys.readouterr().out == "a line\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "not measured yet"),
        (3, "3 s"),
        (89, "89 s"),
        (90, "1.5 min"),
        (7200, "2.0 h"),
        (4 * 86400, "4.0 days"),
    ],
)
def test_durations(seconds, text):
    assert cost.duration(seconds) == text


def test_speed_is_by_what_was_measured_here():
    here = {"backend": "jax", "device": "cpu"}
    trial = Trial(method="set", sparsity=0.5, dataset="digits", model="vgg16")

    def result(flops, seconds, **changes):
        row = {"computed_flops": flops, "seconds": seconds}
        return {**row, "network": cost.network(trial), **here, **changes}

    speed = cost.Speed([], here)
    assert speed.seconds({trial: 100.0}) is None
    speed.add(result(1000, 1, device="gpu"))
    speed.add({"error": "NaN"})
    assert speed.seconds({trial: 100.0}) is None
    speed.add(result(10, 1, network="vgg16, width 0.125, float32"))
    assert speed.seconds({trial: 100.0}) is None
    speed.add(result(20, 1))
    speed.add(result(50, 1))
    speed.add(result(30, 1))
    assert speed.seconds({trial: 90.0}) == 3
    assert speed.seconds({trial: None}) is None


def test_computed_flops_count_kernels_as_dense_and_attacks():
    fields = {"dataset": "digits", "model": "vgg16", "width": 1 / 32}
    forward = cost.forward_flops(Trial(method="dense", sparsity=0, **fields))
    for method in ("dense", "set"):
        trial = Trial(
            method=method,
            sparsity=0.9,
            hard="adversarial",
            epochs=2,
            data_ratio=0.5,
            attack_steps=3,
            **fields,
        )
        images = round(0.5 * 1437)
        assert cost.training_images(trial) == images
        expected = images * 2 * forward * (3 + 2 * 3)
        assert cost.computed_flops(trial) == expected
        assert cost.computed_flops(trial, 10) == 20 * forward * 9
