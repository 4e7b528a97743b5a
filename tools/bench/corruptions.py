"""The corruptions, against imagecorruptions-imaug.

Both get the same images, crops of scikit-learn's sample photographs, and the
same constants, ImageNet-C's, so that they do the same work, on one core.
"""

import functools

from tools.bench import frame

PAIRS = 5, 3
SEVERITY = 3
SIZES = 32, 64
PEER = "imagecorruptions-imaug"


def crops(count, size):
    """Random squares of the sample photographs, uint8 (n, size, size, 3)."""
    import numpy as np
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    photographs = load_sample_images().images

    def crop():
        photograph = photographs[rng.integers(len(photographs))]
        top = rng.integers(photograph.shape[0] - size)
        left = rng.integers(photograph.shape[1] - size)
        return photograph[top : top + size, left : left + size]

    return np.stack([crop() for _ in range(count)])


def corrupted(names, size):
    """Ratios of the time of some corruptions of all images, one by one."""
    import cv2
    import imagecorruptions

    from keras_snn.corruptions import corrupt

    cv2.setNumThreads(1)
    images = crops(frame.pick(50, 20), size)

    def ours():
        for name in names:
            corrupt(images, name, SEVERITY, table="imagenet224")

    def theirs():
        for name in names:
            for image in images:
                imagecorruptions.corrupt(image, SEVERITY, corruption_name=name)

    return frame.in_turn(ours, theirs, frame.pick(*PAIRS))


def cases():
    """All fifteen in two sizes, and each by itself, and the four extra ones."""
    from keras_snn.corruptions import CORRUPTIONS
    from keras_snn.corruptions import EXTRA_CORRUPTIONS

    tasks = {
        f"the fifteen at {size}x{size}": (CORRUPTIONS, size) for size in SIZES
    }
    for name in CORRUPTIONS + EXTRA_CORRUPTIONS:
        tasks[f"{name} at {SIZES[0]}x{SIZES[0]}"] = [name], SIZES[0]
    for name, task in tasks.items():
        yield frame.Case(
            name, functools.partial(corrupted, *task), peer=PEER, goal=1
        )
