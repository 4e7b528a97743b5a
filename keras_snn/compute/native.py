"""The compiled kernels, as `backend.call_kernel` wants them."""

import dataclasses
import functools
import importlib


@functools.cache
def missing():
    """Why the kernels cannot run here: None if they can."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return "Numba is not installed: pip install numba"
    return None


@functools.cache
def threads():
    """How many threads kernels run on: what Numba is set to.

    That is the environment's NUMBA_NUM_THREADS when it is imported, else all
    cores. Where Numba has only threads that must not be started twice at once,
    it is one.
    """
    import numba

    count = numba.config.NUMBA_NUM_THREADS
    if count > 1:
        numba.get_num_threads()  # Starts them.
        if numba.threading_layer() == "workqueue":
            return 1
    return count


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One of the kernels of `kernels.py`, compiled when it first runs.

    Attributes:
        name: `"forward"`, `"input_gradient"`, `"weight_gradient"` or, of both
            at once, `"gradients"`.
        threaded: Whether it runs on Numba's threads.
    """

    name: str
    threaded: bool

    def run(self, *arrays):
        """Runs it on contiguous NumPy arrays; it fills the last or last two."""
        self._compiled(*(array.reshape(-1) for array in arrays))

    @functools.cached_property
    def _compiled(self):
        module = importlib.import_module("keras_snn.compute.kernels")
        return module.compiled(self.name, self.threaded)

    @functools.cached_property
    def handler(self):
        """The address of its XLA handler."""
        module = importlib.import_module("keras_snn.compute.xla_handlers")
        return module.compiled(self.name, self.threaded).address

    @functools.cached_property
    def op(self):
        """The name of its TensorFlow op; None where there can be none."""
        module = importlib.import_module("keras_snn.compute.tensorflow_ops")
        return module.registered(self.name, self.threaded)
