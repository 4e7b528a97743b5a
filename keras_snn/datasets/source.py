"""What every source of images shares: its description, splits and checks."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Images and their labels, a pair `(x, y)`.

    Attributes:
        x: Images of shape (images, rows, cols, channels).
        y: Labels of shape (images,).
    """

    x: np.ndarray
    y: np.ndarray


@dataclasses.dataclass(frozen=True)
class Source:
    """What is known of a data set before it is read.

    Attributes:
        classes: Number of classes.
        image_shape: Shape of an image, (rows, cols, channels).
        flip: Whether an image keeps its class when left and right are swapped.
        read: Function `(data_dir, seed) -> (train, validation, test)`, each a
            `Split` of uint8 images and int32 labels.
        images: How many images there are to train on, those of the validation
            part too; what a plan counts with. None: not known before reading.
        stem: The first convolution of a ResNet for such images: `"cifar"` or
            `"tiny"`.

    Example:

    ```python
    SOURCES["mine"] = Source(
        classes=10, image_shape=(32, 32, 3), flip=True, read=read
    )
    ```
    """

    classes: int
    image_shape: tuple[int, int, int]
    flip: bool
    read: Callable
    images: int | None = None
    stem: str = "cifar"


def merged(first, second):
    """One split of the images of both, in this order.

    Args:
        first: A `Split`.
        second: A `Split` of images of the same shape.

    Returns:
        A `Split`.
    """
    pairs = zip(first, second, strict=True)
    return Split(*(np.concatenate(pair) for pair in pairs))


def whole(train, validation, test):
    """The parts with nothing held out: the validation part is empty.

    Args:
        train: A `Split`.
        validation: A `Split`, whose images are then the last to train on.
        test: A `Split`.

    Returns:
        A tuple `(train, validation, test)` of `Split`s.
    """
    empty = Split(validation.x[:0], validation.y[:0])
    return merged(train, validation), empty, test


def as_float(split):
    """The split with its pixels as float32 in [0, 1].

    Args:
        split: A `Split` of uint8 images.

    Returns:
        A `Split`.
    """
    return Split(np.divide(split.x, 255, dtype="float32"), split.y)


def random_subset(split, ratio, seed):
    """`ratio` of the images, drawn without replacement, in their order."""
    total = len(split.y)
    count = round(ratio * total)
    if count == 0:
        raise ValueError(
            "Argument `data_ratio` must leave at least one of the "
            f"{total} training images. Received: data_ratio={ratio}"
        )
    drawn = np.random.default_rng(seed).permutation(total)[:count]
    drawn.sort()
    return Split(split.x[drawn], split.y[drawn])


def hold_out_last(split, fraction=0.1):
    """The split without its last images, and a split of these."""
    count = max(1, int(fraction * len(split.y)))
    first = Split(split.x[:-count], split.y[:-count])
    return first, Split(split.x[-count:], split.y[-count:])


def checked(x, y, *, classes, image_shape, where):
    """The split, if it holds images of that shape and labels of the classes.

    Args:
        x: Array that should be uint8 of shape (images, *image_shape).
        y: Array that should be integers in [0, classes) of shape (images,) or
            (images, 1).
        classes: Number of classes.
        image_shape: Shape of an image.
        where: What the arrays are, for the error.

    Returns:
        A `Split` with int32 labels of shape (images,).

    Raises:
        ValueError: If they are not that.
    """
    if x.dtype != np.uint8 or x.shape[1:] != tuple(image_shape):
        raise ValueError(
            f"Images in {where} must be uint8 of shape (images, "
            f"{', '.join(map(str, image_shape))}), or they are other data. "
            f"Received: dtype={x.dtype}, shape={x.shape}"
        )
    if y.dtype.kind not in "iu" or y.shape not in ((len(x),), (len(x), 1)):
        raise ValueError(
            f"Labels in {where} must be one integer for each of the {len(x)} "
            f"images. Received: dtype={y.dtype}, shape={y.shape}"
        )
    if len(x) < 2:
        raise ValueError(
            f"{where} must hold at least 2 images, or there is nothing to "
            f"split. Received: shape={x.shape}"
        )
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(
            f"Labels in {where} must be in [0, {classes}), one for each class. "
            f"Received: labels from {y.min()} to {y.max()}"
        )
    return Split(x, y.reshape(-1).astype("int32"))
