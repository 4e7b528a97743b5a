"""What a task of Ray does with a trial, wherever it runs.

It is handed all that it needs in a `Job`, and gives back the files of its
result: it reads no disk of the process that began the grid.
"""

import dataclasses
import platform
import tempfile
from pathlib import Path
from typing import Any

from keras_snn.experiments.attempt import attempt
from keras_snn.experiments.checkpoint import packed
from keras_snn.experiments.checkpoint import unpack
from keras_snn.experiments.devices import check_there
from keras_snn.experiments.provenance import provenance
from keras_snn.experiments.registry import load_module
from keras_snn.experiments.store import Store
from keras_snn.files import written


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """All that a worker is told of a trial."""

    trial: Any
    place: str  # The name of its folder, which tells its data.
    data_dir: str | None
    config: Any
    export: bool
    code: tuple
    modules: tuple  # Pairs of a name and, of a file, what is in it.
    done: dict  # Of those that are there, the key to a reference to the files.
    shared: Any  # A reference to what trials share, path to bytes.
    checkpoint: dict
    token: str
    mail: Any


def run(job):
    """The worker's part: what a trial leaves in a store of its own.

    Returns:
        `(files, shared)`: of the trial, and of what trials share.
    """
    import ray

    with tempfile.TemporaryDirectory(prefix="keras_snn-") as folder:
        folder = Path(folder)
        for name, text in job.modules:
            if text:
                (folder / name).write_text(text)
            load_module(folder / name if text else name)
        store = _Scratch(folder, job, ray)
        _check_same(job, store)
        check_there(job.config.devices)
        for name, content in ray.get(job.shared).items():
            write_new(folder / "scores" / name, content)
        unfinished = store.begin(job.trial)
        unpack(unfinished, job.checkpoint)
        view = _Posted(job, unfinished, ray)
        attempt(job.trial, store, job.config, view, job.export)
        return store.files(job.trial), bytes_of(shared_files(folder))


def _check_same(job, store):
    code = code_version()
    if job.code != code:
        raise ImportError(
            "All machines must have the same keras_snn, or a result depends "
            f"on where it was made. Received: {job.code} here, {code} on "
            f"{platform.node()}"
        )
    place = store.place(job.trial).name
    if place != job.place:
        raise ImportError(
            "All machines must have the same data, or a result depends on "
            f"where it was made. Received: {job.place} here, {place} on "
            f"{platform.node()}"
        )


def code_version():
    """The version and the commit of this package."""
    found = provenance()
    return found["versions"]["keras-snn"], found["commit"]


class _Scratch(Store):
    """A worker's own store: what is done elsewhere comes when asked for."""

    def __init__(self, folder, job, ray):
        super().__init__(folder, job.data_dir)
        self._elsewhere, self._ray = dict(job.done), ray

    def result(self, trial):
        self._fetch(trial)
        return super().result(trial)

    def has_network(self, trial):
        self._fetch(trial)
        return super().has_network(trial)

    def network(self, trial):
        self._fetch(trial)
        return super().network(trial)

    def _fetch(self, trial):
        reference = self._elsewhere.pop(trial.key, None)
        if reference is not None:
            self.take(trial, self._ray.get(reference))


class _Posted:
    """A view that sends each epoch, and its checkpoint, to the driver."""

    def __init__(self, job, unfinished, ray):
        self.job, self.unfinished, self.ray = job, unfinished, ray
        self.last = job.checkpoint.keys()

    def epoch(self, name, text):
        del name
        checkpoint = {}
        if {p.name for p in self.unfinished.glob("epoch-*")} != self.last:
            checkpoint = packed(self.unfinished)
            self.last = checkpoint.keys()
        job = self.job
        # Waits until it is there: what was told was kept.
        self.ray.get(job.mail.send.remote(job.token, text, checkpoint))


def shared_files(folder):
    """What trials share in the folder of a store: the scores of samples."""
    return sorted((folder / "scores").glob("*.npz"))


def bytes_of(paths):
    """What files hold, by their names."""
    return {path.name: path.read_bytes() for path in paths}


def write_new(path, content):
    """Writes a file, unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with written(path) as temporary:
            temporary.write_bytes(content)
