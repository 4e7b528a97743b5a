"""Running trials: one, or a grid of them, by whichever runner."""

import contextlib
import time

from keras_snn.experiments import cost
from keras_snn.experiments import data
from keras_snn.experiments import devices
from keras_snn.experiments.attempt import RunConfig
from keras_snn.experiments.attempt import describe
from keras_snn.experiments.attempt import outcome
from keras_snn.experiments.attempt import result
from keras_snn.experiments.provenance import provenance
from keras_snn.experiments.runners.in_turn import WAIT
from keras_snn.experiments.runners.in_turn import in_turn
from keras_snn.experiments.store import Store
from keras_snn.experiments.view import Counts
from keras_snn.experiments.view import Lines


def plan(trials):
    """Trials and all that they build on, each once, in an order to run them.

    Args:
        trials: List of `Trial`.

    Returns:
        A list of `Trial`.
    """
    ordered = {}

    def add(trial):
        for base in trial.builds_on:
            add(base)
        ordered.setdefault(trial)

    for trial in trials:
        add(trial)
    return list(ordered)


def run_grid(
    trials,
    out,
    *,
    data_dir=None,
    retry=False,
    runner=in_turn,
    say=print,
    view=None,
    on_result=None,
    **config,
):
    """Runs trials; what is done already is not done again.

    A trial that fails is kept with its error, and the others go on. It is not
    tried again unless told to. Several processes may run grids on one store: a
    trial that one of them is running is left to it, and its result taken.

    Args:
        trials: List of `Trial`.
        out: Folder of the `Store`, where each trial is kept once.
        data_dir: Where the data lies, as for `keras_snn.datasets.load`.
        retry: Whether to run anew what failed before.
        runner: What runs them: called with a `Work`. Defaults to one after
            the other, in this process; `OnRay` runs them beside each other.
        say: Called with each line that tells how far it is.
        view: Tells how far it is in another way: see `view.py`.
        on_result: Called with the rows so far, whenever there is a new one.
        **config: Fields of `RunConfig`: `export`, `keep_networks`,
            `checkpoint_interval`, `devices`, `tensorboard`, `callbacks`.

    Returns:
        A list of rows, dicts, in the order of the trials: see `run_trial`. One
        that failed has `error` in place of what was measured.

    Raises:
        ValueError: If there are not so many `devices`, or batches that they
            cannot share.

    Example:

    ```python
    fields = {"dataset": "digits", "model": "resnet18", "width": 0.125}
    trials = [
        Trial(method="set", sparsity=0.9, seed=seed, epochs=6, **fields)
        for seed in range(3)
    ]
    rows = run_grid(trials, "results/store")
    ```
    """
    config, view = RunConfig(**config), view or Lines(say)
    work = Work(trials, Store(out, data_dir), config, retry, view, on_result)
    devices.check_batches(config.devices, work.todo)
    if work.todo:
        runner(work)
    if not config.keep_networks:
        steps = work.steps
        for trial in {*steps} - {b for t in steps for b in t.builds_on}:
            work.store.drop_network(trial)
    return work.found()


class Work:
    """What is to be run of a grid, and what has come of it so far.

    A runner takes what is `ready`, claims it in the `store`, and tells when it
    `begins` and how it `ends`, until there is nothing `todo`.

    Args:
        trials: List of `Trial`.
        store: The `Store`.
        config: The `RunConfig`.
        retry: Whether to run anew what failed before.
        view: Told how far it is.
        on_result: Called with the rows so far, or None.
    """

    def __init__(self, trials, store, config, retry, view, on_result):
        self.trials, self.store, self.config = trials, store, config
        self.view, self._on_result = view, on_result
        self.steps, self._asked = plan(trials), set(trials)
        failed = {} if retry else failures(self.steps, store)
        todo = left(self.steps, self._asked, store, config)
        self.todo = [t for t in todo if t not in failed]
        done = [t for t in self.steps if t not in {*self.todo, *failed}]
        rows = {t: row for t in done if (row := store.result(t))}
        self.rows = failed | rows
        self._speed = cost.Speed(store.measured(), provenance(config.devices))
        data_dir = store.data_dir
        self._flops = {trial: _planned(trial, data_dir) for trial in self.todo}
        self._counts = Counts(len(rows), len(failed), len(self.todo))
        if on_result and self.found():
            on_result(self.found())

    def found(self):
        """The rows so far of the trials that were asked for."""
        return [self.rows[t] for t in self.trials if t in self.rows]

    def ready(self):
        """Those to do of which all is done that they build on."""
        return [
            t for t in self.todo if all(b in self.rows for b in t.builds_on)
        ]

    def exports(self, trial):
        """Whether a trial's network is to be written as TFLite, too."""
        return self.config.export and trial in self._asked

    def begins(self, trial, at_once=1):
        """Tells that a trial begins; `at_once` run beside each other."""
        seconds = self._speed.seconds(self._flops)
        self._counts.seconds = seconds and seconds / at_once
        self.view.begins(describe(trial), self._counts)

    def ends(self, trial, row):
        """Takes the row of a trial that has begun."""
        self.todo.remove(trial)
        del self._flops[trial]
        self.rows[trial] = row
        self._counts.count(row)
        self._speed.add(row)
        self.view.ends(describe(trial), outcome(row), self._counts)
        if self._on_result and trial in self._asked:
            self._on_result(self.found())


def _planned(trial, data_dir):
    """The FLOPs that a trial will compute; None if they cannot be counted."""
    try:
        images = data.training_images(trial, data_dir)
        return cost.computed_flops(trial, images)
    except ValueError:  # Said when the trial itself is run.
        return None


def failures(steps, store):
    """Of a plan, what failed before: a dict of trial to row."""
    rows = {trial: store.failure(trial) for trial in steps}
    return {t: r for t, r in rows.items() if r and not store.result(t)}


def left(steps, trials, store, config):
    """Of a plan, what is to be run yet.

    Args:
        steps: What `plan` returned.
        trials: A set of those that were asked for.
        store: The `Store`.
        config: The `RunConfig`.

    Returns:
        A list of `Trial`, in the order of the plan.
    """
    found, wanted = [], set()
    for trial in reversed(steps):
        row = store.result(trial)
        done = row is not None
        if trial in wanted:
            done = done and store.has_network(trial)
        if config.export and trial in trials:
            done = done and "tflite_bytes" in row
        if not done:
            found.append(trial)
            wanted.update(trial.builds_on)
    return found[::-1]


def run_trial(trial, out, *, data_dir=None, say=print, view=None, **config):
    """Trains and evaluates one network, or returns what it gave before.

    A run that was killed goes on from its last whole epoch. What it builds on
    is run first.

    Args:
        trial: The `Trial`.
        out: Folder of the `Store`.
        data_dir: Where the data lies, as for `keras_snn.datasets.load`.
        say: Called with each line that tells how far it is.
        view: Tells how far it is in another way: see `view.py`.
        **config: Fields of `RunConfig`, such as `export=True`.

    Returns:
        The result, a dict: the fields of the trial, `sparsity` achieved (that
        asked for is `requested_sparsity`), `clean_accuracy` and such as
        `adversarial_accuracy` on the test images, in [0, 1],
        `nll` and `ece` of the clean ones (see `keras_snn.evaluation`),
        `active_parameters`, `layer_densities`, `training_flops` (of methods
        that prune a trained network, with its training) and `inference_flops`
        of one image, `seconds` of training, sizes of files in bytes; and with
        what data, code, backend and device that was.

    Raises:
        ValueError: If the trial cannot be run on the data.
        FloatingPointError: If training gave NaN.

    Example:

    ```python
    fields = {"dataset": "digits", "model": "resnet18", "width": 0.125}
    trial = Trial(method="set", sparsity=0.9, epochs=6, **fields)
    print(run_trial(trial, "results/store")["clean_accuracy"])
    ```
    """
    store, view = Store(out, data_dir), view or Lines(say)
    config, trials = RunConfig(**config), {trial}
    steps = left(plan(trials), trials, store, config)
    devices.check_batches(config.devices, steps)
    if steps:
        devices.check_there(config.devices)
    for step in steps:
        export = config.export and step == trial
        view.begins(describe(step), Counts(left=1))
        with _waited_for(step, store):
            row = result(step, store, config, view, export)
        view.ends(describe(step), outcome(row), Counts(done=1))
    return store.result(trial)


@contextlib.contextmanager
def _waited_for(trial, store):
    """A context in which no other process runs the trial."""
    while True:
        with store.claimed(trial) as mine:
            if mine:
                yield
                return
        time.sleep(WAIT)
