"""Trials one after the other, in this process."""

import time

from keras_snn.experiments.attempt import attempt
from keras_snn.experiments.attempt import blocked
from keras_snn.experiments.devices import check_there

# Seconds between looks at a trial that another process is running.
WAIT = 1.0


def in_turn(work):
    """Runs what is to do, each trial when what it builds on is done.

    Args:
        work: The `Work` of a grid.
    """
    check_there(work.config.devices)
    store = work.store
    while work.todo:
        for trial in work.ready():
            with store.claimed(trial) as mine:
                if not mine:  # Another process is running it.
                    continue
                work.begins(trial)
                row = blocked(trial, store, work.rows) or attempt(
                    trial, store, work.config, work.view, work.exports(trial)
                )
            work.ends(trial, row)
            break
        else:
            time.sleep(WAIT)
