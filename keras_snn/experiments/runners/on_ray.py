"""Trials beside each other, as tasks of Ray: on one machine, or on many.

"Ray: A Distributed Framework for Emerging AI Applications",
https://arxiv.org/abs/1712.05889.

A worker is a function, `ray_worker.run`: it is handed a trial, the networks
that this builds on and its last checkpoint, and gives back the files of its
result. No disk need be shared. Only the process that began the grid, the
driver, writes to the store, and it holds the lock of each trial that it has
out, so that several may run grids on one store. After each epoch a worker sends
its checkpoint; where it is lost, or its node, the trial goes on from there
elsewhere.

Several workers on one machine are a Ray of its own, too: what becomes of a
process that dies is then written once, not twice.
"""

import contextlib
import dataclasses
import logging
import os
import time
from pathlib import Path
from typing import Any

import keras

from keras_snn.checks import check_integer
from keras_snn.experiments.attempt import blocked
from keras_snn.experiments.attempt import describe
from keras_snn.experiments.checkpoint import packed
from keras_snn.experiments.checkpoint import unpack
from keras_snn.experiments.provenance import provenance
from keras_snn.experiments.runners.ray_worker import Job
from keras_snn.experiments.runners.ray_worker import bytes_of
from keras_snn.experiments.runners.ray_worker import code_version
from keras_snn.experiments.runners.ray_worker import run
from keras_snn.experiments.runners.ray_worker import shared_files
from keras_snn.experiments.runners.ray_worker import write_new
from keras_snn.extras import require

PURPOSE = "Running trials beside each other"
# How often a trial may lose its worker without an epoch done between.
TRIES = 3
# Seconds between looks at what the workers have sent.
WAIT = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnRay:
    """Runs trials on Ray: a runner for `run_grid`.

    Each trial has its CPUs, and no more threads than that; its backend is that
    of this process. Data and this package must be on each machine, at the same
    paths and of the same version, which is seen to.

    Args:
        address: Of a Ray cluster that this machine is a node of, such as
            `"auto"` or `"10.0.0.1:6379"`. Defaults to a Ray of its own on this
            machine, with `workers`.
        workers: How many trials run beside each other, without `address`.
        cpus: CPUs of a trial. Defaults to this machine's, shared by `workers`;
            with an address, to 1.
        gpus: GPUs of a trial; a fraction lets trials share one.
        modules: Python files or names of modules that workers import first:
            methods, networks, data and kinds of your own. A file is sent.

    Raises:
        ValueError: If an argument is out of range, or both or neither of
            `address` and `workers` are given.

    Example:

    ```python
    run_grid(trials, "results/store", runner=OnRay(workers=2))
    ```
    """

    address: str | None = None
    workers: int | None = None
    cpus: int | None = None
    gpus: float = 0
    modules: tuple = ()

    def __post_init__(self):
        if (self.address is None) == (self.workers is None):
            raise ValueError(
                "Either of `workers`, on this machine, and `address`, of a Ray "
                "cluster, must be given, or it is not said where trials run. "
                f"Received: workers={self.workers}, address={self.address!r}"
            )
        for name in ("workers", "cpus"):
            if getattr(self, name) is not None:
                check_integer(
                    name, getattr(self, name), 1, "or no trial ever runs"
                )
        if str(self.address).startswith("ray://"):
            raise ValueError(
                "Argument `address` must be of a cluster that this machine is "
                "a node of, since it writes what comes back: a client of Ray "
                f"is none. Received: address={self.address!r}"
            )
        if not self.gpus >= 0:
            raise ValueError(
                f"Argument `gpus` must be >= 0. Received: gpus={self.gpus}"
            )

    def __call__(self, work):
        """Runs what is to do.

        Args:
            work: The `Work` of a grid.

        Raises:
            ImportError: If Ray or what a trial needs is not installed.
            ValueError: If the cluster has no room for a trial.
        """
        ray = require("ray", PURPOSE)
        with (
            _connected(ray, self),
            contextlib.closing(_Driver(ray, self, work)) as driver,
        ):
            driver.run()

    def cpus_of_a_trial(self):
        """CPUs of a trial, by default, too."""
        if self.cpus is None and self.workers is not None:
            return max(1, (os.cpu_count() or 1) // self.workers)
        return self.cpus or 1


@contextlib.contextmanager
def _connected(ray, runner):
    """A context in which this process is a driver of Ray."""
    if ray.is_initialized():  # By a user who has more to do with it.
        yield
        return
    options = {}
    if runner.address is None:
        # Ray tells its makers of each one that it starts.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Its workers stand back, by 15, for a driver that has work to do.
        os.environ.setdefault("RAY_worker_niceness", "0")
        options = {
            "num_cpus": runner.workers * runner.cpus_of_a_trial(),
            "include_dashboard": False,
        }
    try:
        ray.init(
            runner.address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **options,
        )
    except ConnectionError as error:
        raise ValueError(
            "Argument `address` must be of a Ray cluster that runs, with this "
            "machine as a node of it: `ray start`. Received: "
            f"address={runner.address!r}. {error}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@dataclasses.dataclass(kw_only=True)
class _Out:
    """A trial that a worker has."""

    trial: Any
    claim: contextlib.ExitStack
    start: tuple = ()  # The checkpoint it was last begun from.
    losses: int = 0  # Since then.


def _mailbox():
    """The class of an actor: what was sent and the driver has not asked for.

    Ray sends a class made in a function as it is: its process imports nothing.
    """

    class Mailbox:
        def __init__(self):
            self.letters = []

        def send(self, token, text, checkpoint):
            if checkpoint:  # The last one is enough.
                for letter in self.letters:
                    if letter[0] == token:
                        letter[2] = {}
            self.letters.append([token, text, checkpoint])

        def collect(self):
            letters, self.letters = self.letters, []
            return letters

    return Mailbox


class _Driver:
    """Hands out the trials of a grid, and takes what comes back."""

    def __init__(self, ray, runner, work):
        self.ray, self.runner, self.work = ray, runner, work
        self.store = work.store
        self.out, self.tokens, self.sent = {}, {}, {}
        self.begun = 0
        cpus = runner.cpus_of_a_trial()
        if self.slots() < 1:
            raise ValueError(
                "A trial must have its CPUs and GPUs on some node, or none is "
                f"ever run. Received: {cpus} CPUs and {runner.gpus:g} GPUs a "
                f"trial, of {ray.cluster_resources()}"
            )
        here = ray.get_runtime_context().get_node_id()
        where = require("ray.util.scheduling_strategies", PURPOSE)
        self.mail = (
            ray.remote(_mailbox())
            .options(
                num_cpus=0,
                max_restarts=-1,
                max_task_retries=-1,
                scheduling_strategy=where.NodeAffinitySchedulingStrategy(
                    here, soft=False
                ),
            )
            .remote()
        )
        self.task = ray.remote(run).options(
            num_cpus=cpus,
            num_gpus=runner.gpus,
            max_retries=0,  # They would begin anew.
            runtime_env={"env_vars": _environment(cpus, runner.gpus)},
        )
        self.config = _portable(work.config)
        self.modules = tuple(_text_of(name) for name in runner.modules)

    def slots(self):
        """How many trials the cluster has room for."""
        there, runner = self.ray.cluster_resources(), self.runner
        room = [there.get("CPU", 0) / runner.cpus_of_a_trial()]
        if runner.gpus:
            room.append(there.get("GPU", 0) / runner.gpus)
        return int(min(room))

    def run(self):
        while self.work.todo:
            self._fill()
            if not self.out:  # Others are running what is left.
                time.sleep(WAIT)
                continue
            done, _ = self.ray.wait(list(self.out), timeout=WAIT)
            self._read()
            for reference in done:
                self._end(reference)

    def close(self):
        """Lets go of what is out."""
        for reference, out in self.out.items():
            self.ray.cancel(reference, force=True)
            out.claim.close()

    def _fill(self):
        """Hands out trials while there is room."""
        room = max(1, self.slots()) - len(self.out)
        if room < 1:
            return
        taken = {out.trial for out in self.out.values()}
        for trial in self.work.ready():
            if room < 1:
                return
            if trial in taken:
                continue
            with contextlib.ExitStack() as claim:
                if not claim.enter_context(self.store.claimed(trial)):
                    continue
                self.work.begins(trial, max(1, self.slots()))
                row = blocked(trial, self.store, self.work.rows)
                row = row or self._done(trial)
                if row is None:
                    out = _Out(trial=trial, claim=claim.pop_all())
                    self._submit(out)
                    room -= 1
            if row is not None:
                self.work.ends(trial, row)

    def _done(self, trial):
        """The row of a trial that another process has done meanwhile."""
        row = self.store.result(trial)
        if row is None or not self.store.has_network(trial):
            return None
        missing = self.work.exports(trial) and "tflite_bytes" not in row
        return None if missing else row

    def _submit(self, out):
        trial = out.trial
        checkpoint = packed(self.store.begin(trial))
        out.start = tuple(sorted(checkpoint))
        self.begun += 1
        token = f"{trial.key}-{self.begun}"
        done = [t for t in (trial, *trial.builds_on) if self._has(t)]
        data_dir = self.store.data_dir
        job = Job(
            trial=trial,
            place=self.store.place(trial).name,
            data_dir=data_dir and str(Path(data_dir).absolute()),
            config=self.config,
            export=self.work.exports(trial),
            code=code_version(),
            modules=self.modules,
            done={t.key: self._sent(t.key, self.store.files, t) for t in done},
            shared=self._shared(),
            checkpoint=checkpoint,
            token=token,
            mail=self.mail,
        )
        self.tokens[token] = out
        self.out[self.task.remote(job)] = out

    def _has(self, trial):
        return self.store.result(trial) and self.store.has_network(trial)

    def _sent(self, name, read, *arguments):
        """A reference to something that workers are sent, put there once."""
        if name not in self.sent:
            self.sent[name] = self.ray.put(read(*arguments))
        return self.sent[name]

    def _shared(self):
        """A reference to the scores of samples."""
        files = shared_files(self.store.folder)
        return self._sent(tuple(f.name for f in files), bytes_of, files)

    def _read(self):
        """Keeps the checkpoints that workers have sent, and tells of them."""
        for token, text, checkpoint in self.ray.get(self.mail.collect.remote()):
            out = self.tokens.get(token)
            if out is None:  # One that was thought lost.
                continue
            unpack(self.store.begin(out.trial), checkpoint)
            self.work.view.epoch(describe(out.trial), text)

    def _end(self, reference):
        """Takes what a worker gave back, or begins again where it was lost."""
        out = self.out.pop(reference)
        self.tokens = {t: o for t, o in self.tokens.items() if o is not out}
        errors = self.ray.exceptions
        with out.claim:
            try:
                files, shared = self.ray.get(reference)
            except errors.RayTaskError as error:
                for kind in (ImportError, ValueError):
                    if isinstance(error.cause, kind):
                        raise kind(str(error.cause)) from error
                raise
            except errors.RayError as error:
                row = self._lost(out, error)
                if row is None:
                    out.claim = out.claim.pop_all()
                    return
            else:
                for name, content in shared.items():
                    write_new(self.store.folder / "scores" / name, content)
                row = self.store.take(out.trial, files)
            self.sent.pop(out.trial.key, None)  # Its files may be others.
        self.work.ends(out.trial, row)

    def _lost(self, out, error):
        """Begins a trial again; its row, where that has come to an end."""
        now = tuple(sorted(packed(self.store.begin(out.trial))))
        out.losses = out.losses + 1 if now == out.start else 1
        if out.losses < TRIES:
            self.work.view.epoch(
                describe(out.trial),
                f"lost with its process; goes on from {_epoch(now)}",
            )
            self._submit(out)
            return None
        try:
            raise RuntimeError(
                "A trial's process must live for an epoch, or it never ends. "
                f"Received: it was lost {TRIES} times in a row: {error}"
            ) from error
        except RuntimeError as lost:
            return self.store.fail(
                out.trial, lost, **provenance(self.config.devices)
            )


def _epoch(names):
    """The epoch of a checkpoint, in words."""
    return f"epoch {int(names[0][6:12])}" if names else "the beginning"


def _environment(cpus, gpus):
    """What a worker must know before it imports anything."""
    threads = str(cpus)
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
        "NPROC",  # Of XLA on CPUs.
    )
    environment = {name: threads for name in names}
    environment["KERAS_BACKEND"] = keras.backend.backend()
    if 0 < gpus < 1:  # Else the first to come takes all of the memory.
        environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    return environment


def _portable(config):
    """The config with a folder that does not depend on where a worker is."""
    folder = config.tensorboard
    if folder and "://" not in str(folder):
        folder = str(Path(folder).absolute())
    return dataclasses.replace(config, tensorboard=folder)


def _text_of(name):
    """A module's name, with what is in it if it is a file."""
    path = Path(name)
    return (path.name, path.read_text()) if path.suffix == ".py" else (name, "")
