"""When a schedule asks for what in a training: its updates, and a preview."""

from keras_snn.checks import check_integer


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
        A tuple: the sparsity asked for at the end of each epoch, 0 before the
        first update. It prints the epochs, counted from 1, in which that
        changes.

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
        # A landing, at step n, comes after the n-th, an update before it.
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
