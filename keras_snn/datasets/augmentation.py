"""Random crops, flips and rotations, by keras-cv in a tf.data pipeline.

What happens to an image is drawn from (seed, epoch, batch), never from a
generator that runs along: a resumed run sees what an undisturbed one sees.
"""

import math
import numbers

import numpy as np

from keras_snn.checks import check_integer
from keras_snn.datasets.transforms import transforms


def augmented(
    x,
    y,
    batch_size=128,
    *,
    crop=4,
    flip=True,
    rotation=0.0,
    shuffle=True,
    seed=0,
    initial_epoch=0,
    endless=False,
):
    """Batches for `fit`, on any backend, with each image changed at random.

    Every pass over the result is an epoch of its own: another order, other
    crops. So tell `fit` not to shuffle, which it cannot, or it warns. The
    defaults are those of "Are Sparse Neural Networks Better Hard Sample
    Learners?" (arXiv 2409.09196), which for adversarial training on CIFAR-100
    adds `rotation=15`.

    An epoch counts as passed when its last batch is handed out. What follows
    this dataset may ask for batches ahead of training: a `.prefetch`, a `.map`
    that tf.data runs in parallel, a strategy of TensorFlow, within which Keras
    takes some before training. Then training may begin at a later epoch, whose
    order and crops are others. With `endless=True` nothing is counted: every
    pass is all epochs, one after the other, whatever follows.

    Args:
        x: Float images in [0, 1] of shape (images, rows, cols, channels).
        y: Labels, one for each image.
        batch_size: Images in a batch; the last one may be smaller.
        crop: Pixels of black around an image before a window of its own size
            is cut out: it moves by up to `crop` pixels each way. 0 for none.
        flip: Whether to swap left and right in half of the images.
        rotation: Largest angle in degrees, in [0, 180], of a turn either way
            about the centre; bilinear, black outside. 0 for none.
        shuffle: Whether to draw an order of the images for each epoch.
        seed: Int >= 0. One seed is one sequence of epochs.
        initial_epoch: Int >= 0, the first epoch of that sequence: what `fit`
            is told when it resumes a run.
        endless: Whether one pass goes through that sequence from there on,
            without an end: tell `fit` the `steps_per_epoch`.

    Returns:
        A `tf.data.Dataset` of pairs `(images, labels)`, float32 in [0, 1].

    Raises:
        ImportError: If keras-cv or TensorFlow is not installed.
        ValueError: If an argument is out of range.

    Example:

    >>> train, validation, _ = keras_snn.datasets.load("cifar10")
    >>> model.fit(augmented(*train), epochs=200, shuffle=False)

    and for a model within a strategy of TensorFlow:

    >>> model.fit(
    ...     augmented(*train, batch_size=128, endless=True),
    ...     epochs=200,
    ...     steps_per_epoch=math.ceil(len(train.y) / 128),
    ...     shuffle=False,
    ... )
    """
    x, y = np.asarray(x), np.asarray(y)
    _check_pairs(x, y)
    check_integer("batch_size", batch_size, 1, "or a batch has no images")
    check_integer("crop", crop, 0, "how many pixels to pad by")
    check_integer("seed", seed, 0, "which random draws derive from")
    check_integer("initial_epoch", initial_epoch, 0, "where to go on")
    if not isinstance(rotation, numbers.Real) or not 0 <= rotation <= 180:
        raise ValueError(
            "Argument `rotation` must be in [0, 180], the largest angle in "
            f"degrees. Received: rotation={rotation!r}"
        )
    changes = transforms(crop, flip, rotation)
    import tensorflow as tf

    fold_in = tf.random.experimental.stateless_fold_in
    steps = math.ceil(len(x) / batch_size)
    with tf.device("CPU"):
        images, labels = tf.constant(x, "float32"), tf.constant(y)
        passed = tf.Variable(initial_epoch, dtype="int64", trainable=False)

    def one_epoch(epoch):
        key = tf.stack([tf.constant(seed, "int64"), epoch])
        order = tf.range(len(x))
        if shuffle:
            order = tf.random.experimental.stateless_shuffle(order, key)
        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return batches.enumerate().map(
            lambda step, rows: one_batch(fold_in(key, step), rows),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    def one_batch(key, rows):
        batch = tf.gather(images, rows)
        for index, change in enumerate(changes):
            batch = change(batch, fold_in(key, index))
        return batch, tf.gather(labels, rows)

    def count_epoch(step, batch):
        passed.assign_add(tf.cast(step == steps - 1, "int64"))
        return batch

    if endless:
        epochs = tf.data.Dataset.range(initial_epoch, tf.int64.max)
        return epochs.flat_map(one_epoch).prefetch(tf.data.AUTOTUNE)
    # The epoch ends when its last batch is handed out, not when it is
    # prefetched: so nothing may be prefetched after `count_epoch`.
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return (
        tf.data.Dataset.range(1)
        .flat_map(lambda _: one_epoch(passed))
        .prefetch(tf.data.AUTOTUNE)
        .enumerate()
        .map(count_epoch)
        .apply(tf.data.experimental.assert_cardinality(steps))
        .with_options(options)
    )


def _check_pairs(x, y):
    if x.ndim != 4 or x.dtype.kind != "f" or x.size == 0:
        raise ValueError(
            "Argument `x` must be float images of shape (images, rows, cols, "
            f"channels). Received: x of dtype={x.dtype}, shape={x.shape}"
        )
    if not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            "Argument `x` must be images in [0, 1], or black is not 0. "
            f"Received: x from {x.min()} to {x.max()}"
        )
    if y.shape[:1] != x.shape[:1]:
        raise ValueError(
            "Argument `y` must hold one label for each image. Received: "
            f"{len(x)} images, y of shape={y.shape}"
        )
