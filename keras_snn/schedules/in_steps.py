"""Schedules in optimizer steps, as tensorflow-model-optimization has them.

The polynomial is from "To prune, or not to prune: exploring the efficacy of
pruning for model compression", https://arxiv.org/abs/1710.01878.
"""

import abc

import numpy as np

from keras_snn.arithmetic.masks import check_sparsity
from keras_snn.checks import check_number
from keras_snn.schedules.updates import preview
from keras_snn.shown import call_of


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
        self.power = checked_power(power)

    def sparsity_at(self, step):
        """The sparsity at `step`: `initial` before, `final` afterwards."""
        progress = (_as_float(step) - self.begin_step) / float(
            self.end_step - self.begin_step
        )
        return decayed(self, progress)

    def get_config(self):
        """Class name and arguments."""
        return self._config(
            initial_sparsity=self.initial_sparsity,
            final_sparsity=self.final_sparsity,
            power=self.power,
        )


def checked_power(power):
    """Returns `power`, if it is a number > 0."""
    check_number("power", power, "an exponent")
    if not power > 0:
        raise ValueError(
            "Argument `power` must be > 0, or sparsity would not come to its "
            f"end. Received: {power=}"
        )
    return power


def decayed(schedule, progress):
    """The sparsity of a polynomial decay when a share of it is done."""
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
