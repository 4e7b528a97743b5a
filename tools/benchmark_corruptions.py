"""Time the corruptions against imagecorruptions-imaug, on one core.

    python tools/benchmark_corruptions.py --size 32 --images 1000

Both get the same images, crops of scikit-learn's sample photographs, and the
same constants, ImageNet-C's, so that they do the same work. Both first run on
one image, untimed, which compiles and loads. Linux only: the process is pinned.
"""

import argparse
import os
import time

import cv2
import imagecorruptions
import numpy as np
from sklearn.datasets import load_sample_images

from keras_snn.corruptions import CORRUPTIONS
from keras_snn.corruptions import EXTRA_CORRUPTIONS
from keras_snn.corruptions import corrupt


def crops(count, size, seed=0):
    """Random squares of the sample photographs, uint8 (n, size, size, 3)."""
    rng = np.random.default_rng(seed)
    photographs = load_sample_images().images

    def crop():
        photograph = photographs[rng.integers(len(photographs))]
        top = rng.integers(photograph.shape[0] - size)
        left = rng.integers(photograph.shape[1] - size)
        return photograph[top : top + size, left : left + size]

    return np.stack([crop() for _ in range(count)])


def ours(images, name, severity):
    """Corrupt the batch with keras_snn."""
    corrupt(images, name, severity, table="imagenet224")


def theirs(images, name, severity):
    """Corrupt one image after another with imagecorruptions-imaug."""
    for image in images:
        imagecorruptions.corrupt(image, severity, corruption_name=name)


def seconds(side, images, name, severity):
    """How long one call takes."""
    start = time.perf_counter()
    side(images, name, severity)
    return time.perf_counter() - start


def fastest(images, name, severity, repeats):
    """Milliseconds an image, ours and theirs: the best of turns taken."""
    sides = (ours, theirs)
    for side in sides:
        side(images[:1], name, severity)
    times = [
        [seconds(side, images, name, severity) for side in sides]
        for _ in range(repeats)
    ]
    return 1000 * np.min(times, axis=0) / len(images)


def main():
    """Print one row a corruption, and the sums over the fifteen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=32, help="pixels a side")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--severity", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    images = crops(options.images, options.size)
    print(
        f"{len(images)} images of {options.size}x{options.size}, severity "
        f"{options.severity}, one core, ms an image"
    )
    print(f"{'':18} {'keras_snn':>9} {'imagecorruptions':>16} {'ratio':>6}")
    total = np.zeros(2)
    for name in CORRUPTIONS + EXTRA_CORRUPTIONS:
        times = fastest(images, name, options.severity, options.repeats)
        if name in CORRUPTIONS:
            total += times
        print_row(name, *times)
    print_row("sum of the 15", *total)


def print_row(name, mine, other):
    """One line of the table."""
    print(
        f"{name:18} {mine:9.3f} {other:16.3f} {other / mine:6.1f}", flush=True
    )


if __name__ == "__main__":
    main()
