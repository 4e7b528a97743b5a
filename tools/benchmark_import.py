"""The time that `import keras_snn` adds to `import keras`, on each backend.

python tools/benchmark_import.py
"""

import os
import statistics
import subprocess
import sys

PROGRAM = """
import sys, time
import keras
began = time.perf_counter()
import keras_snn
print(time.perf_counter() - began, "tensorflow" in sys.modules)
"""


def main(runs=5):
    """Prints the median seconds of each backend, and if TensorFlow came in."""
    for backend in ("tensorflow", "jax", "torch"):
        seconds, found = [], set()
        for _ in range(runs):
            output = subprocess.run(
                [sys.executable, "-c", PROGRAM],
                env={**os.environ, "KERAS_BACKEND": backend},
                capture_output=True,
                check=True,
                text=True,
            ).stdout.split()
            seconds.append(float(output[-2]))
            found.add(output[-1])
        print(
            f"{backend}: {statistics.median(seconds):.2f} s, from "
            f"{min(seconds):.2f} to {max(seconds):.2f}; TensorFlow imported: "
            f"{', '.join(found)}"
        )


if __name__ == "__main__":
    main()
