"""A schedule in shares of training."""

from keras_snn.arithmetic.masks import check_sparsity
from keras_snn.checks import check_integer
from keras_snn.checks import check_number
from keras_snn.schedules.in_steps import PolynomialDecay
from keras_snn.schedules.in_steps import checked_power
from keras_snn.schedules.in_steps import decayed
from keras_snn.schedules.updates import preview
from keras_snn.shown import call_of

# Where it chooses: in epochs, and how many between begin and end.
LONGEST_INTERVAL = 4
LEAST_UPDATES = 10


class DuringTraining:
    """A `PolynomialDecay` in shares of training instead of steps.

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
        self.power = checked_power(power)

    __repr__ = call_of

    def sparsity_at(self, progress):
        """The sparsity when `progress` of training is done, in [0, 1]."""
        return decayed(self, (progress - self.begin) / (self.end - self.begin))

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
