"""When a callback's updates are due: the one clock of all methods.

A callback asks at the beginning of every epoch and of every batch, and is given
the `Moment` of an update or None. Keras may run several steps at a time
(`steps_per_execution`) and then shows callbacks the first of each block: an
update that falls due within a block comes before the next one, also where that
is the first after a resume.
"""

import dataclasses
import math

from keras_snn.checks import check_integer
from keras_snn.checks import check_number
from keras_snn.masking import keras_private
from keras_snn.schedules.updates import asked
from keras_snn.schedules.updates import requests

UNITS = ("epochs", "steps")


@dataclasses.dataclass(frozen=True)
class Moment:
    """When an update comes.

    Attributes:
        step: The epoch or step that is about to begin, counted from 0.
        progress: The share of training that is done, in [0, 1].
        landing: Whether it is one that no interval asked for, at the share of
            training where a method lands, or after an epoch's last step.
        sparsity: What a schedule asks for; None where there is no schedule.
    """

    step: int
    progress: float | None = None
    landing: bool = False
    sparsity: float | None = None


class Clock:
    """Counts the steps of a training, in whatever blocks they come.

    Args:
        inside: Whether steps of an epoch's last block, where it has several,
            count as the next epoch's.
    """

    def __init__(self, inside=False):
        self._inside = inside
        self._last = None

    def epoch_begins(self, first, steps, per_execution):
        """Tells the clock where it is.

        Args:
            first: Steps that were done before this epoch.
            steps: Steps of an epoch; None where that is not known.
            per_execution: Steps that Keras runs at a time.
        """
        self._first = first
        size = steps or per_execution
        block = (size - 1) % per_execution + 1  # The last of an epoch.
        self._waits = size - block if self._inside and size > block else None
        if self._last is None:  # A new training, or one that is resumed.
            self._last = first - block if first else -1
            if first and self._waits is not None:
                self._last -= per_execution

    def batch_begins(self, batch):
        """The steps that have begun since it was last asked: a range."""
        if batch == self._waits:
            return range(0)
        last, self._last = self._last, self._first + batch
        return range(last + 1, self._last + 1)

    def done(self, batch):
        """Steps done when the epoch's batch of this index has ended."""
        return self._first + batch + 1


class Due:
    """Every so many epochs or steps of training, up to a share of it.

    Args:
        interval: Epochs or steps between updates, an int >= 1.
        unit: `"epochs"` or `"steps"`, batches.
        end: Share of training after which there is none, in (0, 1].
        lands: Share of training at which there is one in any case, in [0, 1];
            None for nowhere.
        at_once: Whether the first comes before the first step of all.
        keeps_up: Whether there is one after the last step of each epoch, too,
            so that what is validated and saved is up to date; for steps.
        inside: Whether what is due in the last block of an epoch, where it
            has several, waits for the next epoch: for methods that look at
            the step that they are due at. A resume repeats it then.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    ```python
    class Mine(keras_snn.MaskUpdate):
        def __init__(self):
            super().__init__(keras_snn.Due(100, "steps", end=0.75))
    ```
    """

    def __init__(
        self,
        interval,
        unit="epochs",
        end=1.0,
        *,
        lands=None,
        at_once=False,
        keeps_up=False,
        inside=False,
    ):
        check_integer("interval", interval, 1, "or masks would never change")
        if unit not in UNITS:
            raise ValueError(
                f"Argument `unit` must be one of {UNITS}. "
                f"Received: unit={unit!r}"
            )
        check_number("end", end, "a share of training")
        if not 0 < end <= 1:
            raise ValueError(
                "Argument `end` must be a share of training in (0, 1], or "
                f"masks would never change. Received: {end=}"
            )
        self.interval = interval
        self.unit = unit
        self.end = end
        self.lands = lands
        self.at_once = at_once
        self.keeps_up = keeps_up
        self.inside = inside

    def comes_in(self, epochs, steps):
        """Whether there is one at all; None where that is not known.

        Args:
            epochs: Epochs of training.
            steps: Steps of an epoch; None where that is not known.
        """
        if self.keeps_up or self.lands is not None:
            return True
        if self.unit == "epochs":
            steps = 1
        elif steps is None:
            return None
        total = epochs * steps
        first = 0 if self.at_once else self.interval
        return first < total and first / total < self.end

    def doubts(self, epochs, steps):
        """What a user should be told of a training of this length."""
        if self.comes_in(epochs, steps) is False:
            length = f"{epochs} epochs"
            if self.unit == "steps":
                length += f" of {steps} steps"
            yield (
                "No mask will change in this training, since no update is due "
                "before its end: choose a smaller `interval`, or train for "
                f"longer. Received: interval={self.interval}, "
                f"unit={self.unit!r}, end={self.end}, and {length}"
            )

    def train_begins(self, callback):
        """Starts the clock.

        Args:
            callback: The `MaskUpdate` that asks.
        """
        self._clock = Clock(self.inside)
        self._newest = None

    def epoch_begins(self, epoch, callback):
        """The update that comes before an epoch; None if none is due."""
        epochs = callback.params["epochs"]
        if self.unit == "epochs":
            return self._moment(range(epoch, epoch + 1), epochs)
        steps = callback.steps_per_epoch()
        self._total = epochs * steps
        self._last_batch = steps - 1
        self._clock.epoch_begins(
            epoch * steps, steps, callback.model.steps_per_execution
        )
        return None

    def batch_begins(self, batch):
        """The update that comes before a batch; None if none is due."""
        if self.unit == "epochs":
            return None
        return self._moment(self._clock.batch_begins(batch), self._total)

    def batch_ends(self, batch):
        """The update that comes after a batch; None if none is due."""
        if not self.keeps_up or self.unit == "epochs":
            return None
        done = self._clock.done(batch)
        self._newest = Moment(done, done / self._total, landing=True)
        return self._newest if batch == self._last_batch else None

    def train_ends(self):
        """The update that comes after training; None if none is due.

        Wherever that ended, and since an optimizer may have put moving
        averages in place of the weights by then.
        """
        return self._newest

    def _moment(self, begun, total):
        if not begun:
            return None
        now = begun[-1]
        first = begun[0] if self.at_once else max(begun[0], 1)
        regular = (
            first <= now // self.interval * self.interval
            and now / total < self.end
        )
        landing = self.lands is not None and (
            math.ceil(round(self.lands * total, 6)) in begun
        )
        if not regular and not landing:
            return None
        return Moment(now, now / total, landing=not regular)


class BySchedule:
    """When a `PruningSchedule` says so, and once more where it ends.

    A step is one update of the optimizer. An update at step t comes after t
    updates of the optimizer, before the next; the last comes as soon as
    `end_step` of them are done, whether or not `frequency` meets it.

    When training has begun, `first` is the step that it began at, and `wanted`
    holds the sparsities of all of its updates, or is None where its length is
    not known.

    Args:
        schedule: A `PruningSchedule`, any object of its protocol, or
            `DuringTraining`.
        keeps_up: Whether updates go on after the schedule's last step, every
            `frequency`, and come after the last step of each epoch as well,
            for masks that change at the same sparsity, too.
    """

    def __init__(self, schedule, *, keeps_up=False):
        self.schedule = schedule
        self.keeps_up = keeps_up

    def train_begins(self, callback):
        """Starts the clock."""
        self._clock = Clock()
        self._newest = self._in_steps = None

    def epoch_begins(self, epoch, callback):
        """Asks nothing, but where training is; raises where it is too short.

        Raises:
            ValueError: If the schedule begins or ends after training.
        """
        epochs, steps = callback.params["epochs"], callback.params["steps"]
        if hasattr(self.schedule, "at"):
            steps = callback.steps_per_epoch()
            first, self._per_update = epoch * steps, 1
            schedule = self.schedule.at(epochs, steps)
        else:
            optimizer = callback.model.optimizer
            first = keras_private.batches_done(optimizer)
            self._per_update = keras_private.batches_an_update(optimizer)
            schedule = self.schedule
        self._clock.epoch_begins(
            first, steps, callback.model.steps_per_execution
        )
        self._last_batch = None if steps is None else steps - 1
        if self._in_steps is None:
            self._in_steps = schedule
            self._landed = (
                epoch > 0 and 0 <= self.end_step <= first // self._per_update
            )
            self.first, self.wanted = first // self._per_update, None
            if steps is not None:
                last = first + (epochs - epoch) * steps
                self._check_reached(last)
                updates = requests(
                    schedule, last // self._per_update, self.first
                )
                self.wanted = [sparsity for _, sparsity in updates]
        return None

    def doubts(self, epochs, steps):
        """As that of `Due`."""
        if self.wanted == [] and not self.keeps_up:
            yield (
                "No mask will change in this training, since its schedule "
                "asks for no pruning at any step. "
                f"Received: {self.schedule!r}, and {epochs} epochs of {steps} "
                "steps"
            )

    def batch_begins(self, batch):
        """The update that comes before a batch; None if none is due."""
        begun = self._clock.batch_begins(batch)
        if self._landed and not self.keeps_up:
            return None
        now = begun[-1] // self._per_update
        wanted = None
        # Accumulated batches share a step, which is asked about once.
        for step in range(-(-begun[0] // self._per_update), now + 1):
            due, sparsity = asked(self._in_steps, step)
            if due or self._goes_on(step):
                wanted = sparsity
        return None if wanted is None else Moment(now, sparsity=float(wanted))

    def batch_ends(self, batch):
        """The landing, as soon as the schedule's last step is done.

        Where masks keep up, also what comes after an epoch's last step.
        """
        done = self._clock.done(batch) // self._per_update
        lands = not self._landed and 0 <= self.end_step <= done
        self._landed = self._landed or lands
        if self.keeps_up and done >= self._begin_step:
            self._newest = self._behind(done)
        elif lands:
            return self._behind(done)
        return self._newest if lands or batch == self._last_batch else None

    def train_ends(self):
        """As that of `Due`."""
        return self._newest

    def _goes_on(self, step):
        """Whether one is due at a step after the schedule's last."""
        frequency = getattr(self._in_steps, "frequency", 1)
        return (
            self.keeps_up
            and 0 <= self.end_step < step
            and (step - self._begin_step) % frequency == 0
        )

    def _behind(self, done):
        step = done if self.end_step < 0 else min(done, self.end_step)
        wanted = self._in_steps(step)[1]
        return Moment(done, landing=True, sparsity=float(wanted))

    @property
    def final_sparsity(self):
        """What the schedule of this training ends with, in [0, 1)."""
        return float(self._in_steps(max(self.end_step, self._begin_step))[1])

    @property
    def _begin_step(self):
        return getattr(self._in_steps, "begin_step", 0)

    @property
    def end_step(self):
        """The schedule's last step; -1 where it has none."""
        return getattr(self._in_steps, "end_step", -1)

    def _check_reached(self, batches):
        last_step = batches // self._per_update
        if max(self._begin_step, self.end_step) > last_step:
            raise ValueError(
                "A schedule must begin and end within training, or the final "
                "sparsity is never reached. Received: "
                f"begin_step={self._begin_step} and end_step={self.end_step}, "
                f"and training ends at step {last_step}"
            )
