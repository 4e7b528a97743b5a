"""Running TFLite files, in the runtime of the devices."""

import contextlib
import os
import statistics
import threading
import time

_STANDARD_ERROR = threading.Lock()


def run(content, arrays):
    """Runs a TFLite file.

    Args:
        content: The file's bytes.
        arrays: Mapping of input name to array.

    Returns:
        A dict of output name to array.
    """
    with quiet():
        return _interpreter(content).get_signature_runner()(**arrays)


def latencies(contents, arrays, runs):
    """How long TFLite files take for one batch, on one thread.

    The files take turns, so that what else the machine does slows all alike.

    Args:
        contents: List of the files' bytes.
        arrays: Mapping of input name to array.
        runs: Int >= 1, how often each file runs, after once to warm up.

    Returns:
        A list of medians, in seconds, one a file.
    """
    with quiet():
        interpreters = [_interpreter(content) for content in contents]
        for interpreter in interpreters:
            interpreter.get_signature_runner()(**arrays)
    seconds = [[] for _ in contents]
    for _ in range(runs):
        for interpreter, of_file in zip(interpreters, seconds, strict=True):
            start = time.perf_counter()
            interpreter.invoke()
            of_file.append(time.perf_counter() - start)
    return [statistics.median(of_file) for of_file in seconds]


@contextlib.contextmanager
def quiet():
    """Holds back what TensorFlow's C++ writes to standard error.

    One thread at a time: standard error is the process's.
    """
    with _STANDARD_ERROR:
        saved = os.dup(2)
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _interpreter(content):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=content, num_threads=1)
