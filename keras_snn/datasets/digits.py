"""Handwritten digits, the real images that come with scikit-learn.

1,797 images of 8x8 in 17 levels of grey: the test set of UCI's "Optical
Recognition of Handwritten Digits". Each pixel becomes 4x4, in three channels.
"""

import numpy as np

from keras_snn.datasets.source import Source
from keras_snn.datasets.source import Split
from keras_snn.extras import require


def read(data_dir, seed):
    """The digits in three stratified parts, drawn by `seed`."""
    if data_dir is not None:
        raise ValueError(
            "Argument `data_dir` must be None for the digits, which come with "
            f"scikit-learn. Received: data_dir={str(data_dir)!r}"
        )
    datasets = require("sklearn.datasets", "The data set 'digits'")
    selection = require("sklearn.model_selection", "The data set 'digits'")
    images, labels = datasets.load_digits(return_X_y=True)
    grey = np.rint(images.reshape(-1, 8, 8, 1) * (255 / 16)).astype("uint8")
    x = grey.repeat(4, axis=1).repeat(4, axis=2).repeat(3, axis=3)
    y = labels.astype("int32")

    def part(rows, fraction):
        return selection.train_test_split(
            rows, test_size=fraction, stratify=y[rows], random_state=seed
        )

    rest, test = part(np.arange(len(y)), 0.2)
    train, validation = part(rest, 0.1)
    return tuple(Split(x[rows], y[rows]) for rows in (train, validation, test))


DIGITS = Source(
    classes=10, image_shape=(32, 32, 3), flip=False, read=read, images=1437
)
