"""How sparse, at which step: the protocol of tensorflow-model-optimization.

A schedule is called with a step and answers `(should_prune, sparsity)`. Ours
run inside tfmot and tfmot's run here; argument names and configs are tfmot's.
The polynomial is from "To prune, or not to prune: exploring the efficacy of
pruning for model compression", https://arxiv.org/abs/1710.01878.

What a schedule does in a training, and when, is one line:

>>> DuringTraining(0.9).preview(epochs=5, steps_per_epoch=100)
epoch 1: 0.24, epoch 2: 0.71, epoch 3: 0.88, epoch 4: 0.90
"""

import abc

import numpy as np

from keras_snn.arithmetic.masks import check_sparsity
from keras_snn.checks import check_integer
from keras_snn.checks import check_number
from keras_snn.shown import call_of

# Of `DuringTraining`, where it chooses: in epochs, and between begin and end.
LONGEST_INTERVAL = 4
LEAST_UPDATES = 10


class PruningSchedule(abc.ABC):
    """Answers at each step whether to prune, and to which sparsity.

    Subclasses set `begin_step`, `end_step` and `frequency` through
    `super().__init__` and define `sparsity_at(step)`.

    Args:
        begin_step: First step at which to prune, >= 0. A step is one update
            of the optimizer.
        end_step: Last step at which to prune; -1 means never to stop.
        frequency: Prune every so many steps, > 0, counted from `begin_step`.
    """

    def __init__(self, begin_step, end_step, frequency):
        for name, value in (
            ("begin_step", begin_step),
            ("end_step", end_step),
            ("frequency", frequency),
        ):
            check_number(name, value, "of steps")
        if begin_step < 0:
            raise ValueError(
                "Argument `begin_step` must be >= 0, since training begins "
                f"there. Received: begin_step={begin_step}"
            )
        if end_step != -1 and end_step < begin_step:
            raise ValueError(
                "Argument `end_step` must be -1 or >= `begin_step`, or the "
                "schedule ends before it begins. "
                f"Received: begin_step={begin_step}, end_step={end_step}"
            )
        if frequency <= 0:
            raise ValueError(
                "Argument `frequency` must be > 0 steps. "
                f"Received: frequency={frequency}"
            )
        self.begin_step = begin_step
        self.end_step = end_step
        self.frequency = frequency

    __repr__ = call_of

    @abc.abstractmethod
    def sparsity_at(self, step):
        """The sparsity at `step`, in [0, 1)."""

    def preview(self, epochs, steps_per_epoch):
        """What it does in a training of this length: see `preview`."""
        return preview(self, epochs, steps_per_epoch)

    def __call__(self, step):
        """Returns `(should_prune, sparsity)` at `step`.

        Args:
            step: Optimizer updates done: an int, a NumPy array, or a scalar
                tensor, inside a graph too.
        """
        due = (step >= self.begin_step) & (
            (step - self.begin_step) % self.frequency == 0
        )
        if self.end_step != -1:
            due = due & (step <= self.end_step)
        return due, self.sparsity_at(step)

    @abc.abstractmethod
    def get_config(self):
        """Class name and arguments, as tfmot's schedules give them."""

    @classmethod
    def from_config(cls, config):
        """The schedule of a config: `get_config()`, or its arguments alone."""
        return cls(**config.get("config", config))

    def _config(self, **arguments):
        return {
            "class_name": type(self).__name__,
            "config": {
                **arguments,
                "begin_step": self.begin_step,
                "end_step": self.end_step,
                "frequency": self.frequency,
            },
        }


class ConstantSparsity(PruningSchedule):
    """The same sparsity at every due step.

    Args:
        target_sparsity: Fraction of zeros, in [0, 1).
        begin_step: First step at which to prune, >= 0.
        end_step: Last step at which to prune. Defaults to -1, never to stop.
        frequency: Prune every so many steps. Defaults to 100.

    Example:

    >>> ConstantSparsity(0.5, begin_step=10, frequency=5)(15)
    (True, 0.5)
    """

    def __init__(self, target_sparsity, begin_step, end_step=-1, frequency=100):
        super().__init__(begin_step, end_step, frequency)
        self.target_sparsity = check_sparsity(
            target_sparsity, "target_sparsity"
        )

    def sparsity_at(self, step):
        """The target, whatever the step."""
        return self.target_sparsity

    def get_config(self):
        """Class name and arguments."""
        return self._config(target_sparsity=self.target_sparsity)


class PolynomialDecay(PruningSchedule):
    """From one sparsity to another, fast at first: cubic by default.

        sparsity = final + (initial - final) * (1 - progress) ** power
        progress = (step - begin_step) / (end_step - begin_step), in [0, 1]

    Args:
        initial_sparsity: Fraction of zeros at `begin_step`, in [0, 1).
        final_sparsity: Fraction of zeros from `end_step` on, in [0, 1).
        begin_step: First step at which to prune, >= 0.
        end_step: Last step at which to prune, > `begin_step`.
        power: Exponent. Defaults to 3.
        frequency: Prune every so many steps. Defaults to 100.

    Example:

    >>> PolynomialDecay(0.0, 0.5, begin_step=0, end_step=100)(50)
    (False, 0.4375)
    """

    def __init__(
        self,
        initial_sparsity,
        final_sparsity,
        begin_step,
        end_step,
        power=3,
        frequency=100,
    ):
        check_number("begin_step", begin_step, "of steps")
        check_number("end_step", end_step, "of steps")
        if end_step == begin_step or end_step == -1:
            raise ValueError(
                "Argument `end_step` must be greater than `begin_step`, since "
                "a decay needs an end and a span. "
                f"Received: begin_step={begin_step}, end_step={end_step}"
            )
        super().__init__(begin_step, end_step, frequency)
        self.initial_sparsity = check_sparsity(
            initial_sparsity, "initial_sparsity"
        )
        self.final_sparsity = check_sparsity(final_sparsity, "final_sparsity")
        self.power = _checked_power(power)

    def sparsity_at(self, step):
        """The sparsity at `step`: `initial` before, `final` afterwards."""
        progress = (_as_float(step) - self.begin_step) / float(
            self.end_step - self.begin_step
        )
        return _decayed(self, progress)

    def get_config(self):
        """Class name and arguments."""
        return self._config(
            initial_sparsity=self.initial_sparsity,
            final_sparsity=self.final_sparsity,
            power=self.power,
        )


class DuringTraining:
    """A `PolynomialDecay` told in shares of training instead of steps.

    The default is "10% to 80% of training, every 4 epochs", as in "Are Sparse
    Neural Networks Better Hard Sample Learners?",
    https://arxiv.org/abs/2409.09196, or more often where training is so short
    that sparsity would jump. What runs it (`GMPUpdate`) knows how long
    training is, and asks for `at`; `preview` tells what will happen.

    Args:
        final_sparsity: Fraction of zeros at the end, in [0, 1).
        begin: When to begin, as a share of training in [0, 1).
        end: When to end, as a share of training in (`begin`, 1].
        interval: Epochs between updates, an int >= 1. Defaults to None: every
            4, or in as many steps as make 10 of them between `begin` and `end`
            where that is more often.
        initial_sparsity: Fraction of zeros at the beginning. Defaults to 0.
        power: Exponent. Defaults to 3.

    Example:

    ```python
    schedule = DuringTraining(0.9, begin=0.1, end=0.8)
    print(schedule.preview(epochs=20, steps_per_epoch=100))
    model.fit(x, y, epochs=20, callbacks=[GMPUpdate(schedule)])
    ```
    """

    def __init__(
        self,
        final_sparsity,
        *,
        begin=0.1,
        end=0.8,
        interval=None,
        initial_sparsity=0.0,
        power=3,
    ):
        check_number("begin", begin, "a share of training")
        check_number("end", end, "a share of training")
        if not 0 <= begin < end <= 1:
            raise ValueError(
                "Arguments `begin` and `end` must be shares of training with "
                "0 <= begin < end <= 1, or the schedule ends before it begins "
                f"or after training. Received: begin={begin}, end={end}"
            )
        if interval is not None:
            check_integer(
                "interval", interval, 1, "or masks would never change"
            )
        self.final_sparsity = check_sparsity(final_sparsity, "final_sparsity")
        self.begin = begin
        self.end = end
        self.interval = interval
        self.initial_sparsity = check_sparsity(
            initial_sparsity, "initial_sparsity"
        )
        self.power = _checked_power(power)

    __repr__ = call_of

    def sparsity_at(self, progress):
        """The sparsity when `progress` of training is done, in [0, 1]."""
        return _decayed(self, (progress - self.begin) / (self.end - self.begin))

    def at(self, epochs, steps_per_epoch, first_step=0):
        """The schedule in steps, for a training of this length.

        Args:
            epochs: Epochs of training.
            steps_per_epoch: Optimizer updates an epoch.
            first_step: Updates that the optimizer had done before.

        Returns:
            A `PolynomialDecay`.
        """
        check_integer("epochs", epochs, 1, "of training")
        check_integer("steps_per_epoch", steps_per_epoch, 1, "of training")
        steps = epochs * steps_per_epoch
        begin, end = round(self.begin * steps), round(self.end * steps)
        if self.interval is None:
            frequency = min(
                LONGEST_INTERVAL * steps_per_epoch,
                max((end - begin) // LEAST_UPDATES, 1),
            )
        else:
            frequency = self.interval * steps_per_epoch
        return PolynomialDecay(
            self.initial_sparsity,
            self.final_sparsity,
            begin_step=first_step + begin,
            end_step=first_step + end,
            power=self.power,
            frequency=frequency,
        )

    def preview(self, epochs, steps_per_epoch):
        """What it does in a training of this length: see `preview`."""
        return preview(self, epochs, steps_per_epoch)

    def get_config(self):
        """The arguments."""
        return {
            "final_sparsity": self.final_sparsity,
            "begin": self.begin,
            "end": self.end,
            "interval": self.interval,
            "initial_sparsity": self.initial_sparsity,
            "power": self.power,
        }

    @classmethod
    def from_config(cls, config):
        """The schedule of a config."""
        return cls(**config)


class Preview(tuple):
    """The sparsity at the end of each epoch; prints where that changes."""

    def __repr__(self):
        changes = [
            f"epoch {number}: {now:.2f}"
            for number, (before, now) in enumerate(
                zip((0.0, *self), self, strict=False), 1
            )
            if now != before
        ]
        return ", ".join(changes) or f"never, in {len(self)} epochs"


def preview(schedule, epochs, steps_per_epoch):
    """What a schedule does in a training, and when.

    Args:
        schedule: A `PruningSchedule`, any object of its protocol, such as
            tfmot's, or `DuringTraining`.
        epochs: Epochs of training, an int >= 1.
        steps_per_epoch: Optimizer updates an epoch, an int >= 1.

    Returns:
        A tuple of the sparsity asked for at the end of each epoch, 0 before
        the first update, which prints as the epochs, counted from 1, at whose
        end it is another.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> preview(ConstantSparsity(0.5, begin_step=25), 4, steps_per_epoch=10)
    epoch 3: 0.50
    """
    check_integer("epochs", epochs, 1, "of training")
    check_integer("steps_per_epoch", steps_per_epoch, 1, "of training")
    check_schedule(schedule)
    if hasattr(schedule, "at"):
        schedule = schedule.at(epochs, steps_per_epoch)
    ends = [0.0] * epochs
    for step, sparsity in requests(schedule, epochs * steps_per_epoch):
        # A landing, at step n, comes behind the n-th, an update before it.
        last = getattr(schedule, "end_step", -1) == step
        epoch = (step - last) // steps_per_epoch if step else 0
        ends[epoch:] = [sparsity] * (epochs - epoch)
    return Preview(ends)


def check_schedule(schedule):
    """Raises a `TypeError` if it is no schedule."""
    if not callable(schedule) and not hasattr(schedule, "at"):
        raise TypeError(
            "Argument `schedule` must be a PruningSchedule, called with a "
            f"step, or DuringTraining. Received: {schedule=!r}"
        )


def asked(schedule, step):
    """What a schedule answers at a step.

    Returns:
        A pair: whether to prune, and the sparsity, a float.

    Raises:
        ValueError: If the answer is no such pair.
    """
    try:
        due, sparsity = schedule(step)
        due, sparsity = bool(due), float(sparsity)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "A schedule answers a step with a pair, whether to prune and the "
            f"sparsity. Received: {schedule!r}, which did not at step {step} "
            f"({error})"
        ) from error
    return due, sparsity


def requests(schedule, steps, first=0):
    """The updates of a schedule in a training, landing included.

    Args:
        schedule: Of `PruningSchedule`'s protocol.
        steps: The step that training ends at.
        first: The step that it begins at.

    Yields:
        Pairs of a step and the sparsity that is asked for there.
    """
    end = getattr(schedule, "end_step", -1)
    # Asking is slow where a schedule answers in tensors.
    every = getattr(schedule, "frequency", 1)
    begin = getattr(schedule, "begin_step", first)
    begin += -(-max(first - begin, 0) // every) * every
    for step in range(begin, steps, every):
        due, sparsity = asked(schedule, step)
        if due and step != end:
            yield step, sparsity
    if first <= end <= steps:
        yield end, asked(schedule, end)[1]


def exponential(sparsity, rounds, *, initial_sparsity=0.0):
    """Sparsities for rounds of pruning: each keeps the same share of weights.

        sparsity = 1 - (1 - initial) * ((1 - final) / (1 - initial)) ** progress
        progress = round / rounds, in (0, 1]

    With `1 - 0.8**rounds` for the sparsity, 20% of what is left goes in each
    round, as in "The Lottery Ticket Hypothesis: Finding Sparse, Trainable
    Neural Networks", https://arxiv.org/abs/1803.03635.

    Args:
        sparsity: Fraction of zeros after the last round, in [0, 1).
        rounds: Int >= 1.
        initial_sparsity: Fraction of zeros before the first, in [0, 1).

    Returns:
        A list of `rounds` floats; the last is `sparsity` itself.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> exponential(1 - 0.8**3, rounds=3)
    [0.2, 0.36, 0.488]
    """
    final = 1 - check_sparsity(sparsity)
    initial = 1 - check_sparsity(initial_sparsity, "initial_sparsity")
    check_integer("rounds", rounds, 1, "or nothing is pruned")
    share = (final / initial) ** (1 / rounds)
    inner = [1 - initial * share**done for done in range(1, rounds)]
    return [*inner, sparsity]


def _checked_power(power):
    check_number("power", power, "an exponent")
    if not power > 0:
        raise ValueError(
            "Argument `power` must be > 0, or sparsity would not come to its "
            f"end. Received: {power=}"
        )
    return power


def _decayed(schedule, progress):
    remaining = _positive(1 - _positive(progress))
    change = schedule.initial_sparsity - schedule.final_sparsity
    return change * remaining**schedule.power + schedule.final_sparsity


def _positive(value):
    """The larger of `value` and 0, exactly, of any array type."""
    return (value + abs(value)) / 2


def _as_float(step):
    if not hasattr(step, "dtype") or isinstance(step, (np.ndarray, np.generic)):
        return step
    from keras import ops  # Only a tensor needs it: an int stays exact.

    return ops.cast(step, "float32")
