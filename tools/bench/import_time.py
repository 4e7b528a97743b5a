"""`import keras_snn` over `import keras` alone, each in a new process."""

import subprocess
import sys

from tools.bench import frame

PAIRS = 3, 2
PROGRAM = """
import time
began = time.perf_counter()
import keras
between = time.perf_counter()
import keras_snn
print((time.perf_counter() - began) / (between - began))
"""


def imported():
    """Ratios of the time of both to that of Keras, of the same process."""
    return [
        float(
            subprocess.run(
                [sys.executable, "-c", PROGRAM],
                capture_output=True,
                check=True,
                text=True,
            ).stdout.split()[-1]
        )
        for _ in range(1 + frame.pick(*PAIRS))
    ][1:]  # The first reads files that are not in memory yet.


def cases():
    """One."""
    yield frame.Case("import with keras_snn over without", imported, "keras")
