"""Random changes to a batch of images: keras-cv's layers, keyed draws.

keras-cv draws from a generator of its own, which no run can resume. So each
layer is told what to do to each image, in the place of its label.
"""

import math

from keras_snn.extras import keras_cv


def transforms(crop, flip, rotation):
    """The changes that are wanted, in the order of the paper's code.

    Cropping is keras-cv's translation, by whole pixels: its RandomCrop
    resamples, and loses a row or a column of every third image.

    Args:
        crop: Most pixels to move an image by, up or down and left or right.
        flip: Whether to swap left and right in half of the images.
        rotation: Largest angle in degrees, either way.

    Returns:
        A list of functions `(images, key) -> images` for float32 batches of
        shape (images, rows, cols, channels) and keys of two integers, to be
        called inside a tf.data pipeline.

    Raises:
        ImportError: If keras-cv or TensorFlow is not installed.
    """
    layers = keras_cv().layers
    import tensorflow as tf

    uniform = tf.random.stateless_uniform

    class Translate(layers.RandomTranslation):
        def get_random_transformation_batch(self, batch_size, labels, **_):
            return {
                "height_translations": labels[:, :1],
                "width_translations": labels[:, 1:],
            }

    class Flip(layers.RandomFlip):
        def get_random_transformation_batch(self, batch_size, labels, **_):
            return {
                "flip_horizontals": labels,
                "flip_verticals": tf.zeros_like(labels),
            }

    class Rotate(layers.RandomRotation):
        def get_random_transformation_batch(self, batch_size, labels, **_):
            return {"angles": labels[:, 0]}

    black = {"fill_mode": "constant", "dtype": "float32"}
    translate = Translate(0.0, 0.0, interpolation="nearest", **black)
    mirror = Flip(dtype="float32")
    rotate = Rotate(0.0, **black)

    def cropped(images, key):
        shape = tf.shape(images)
        pixels = uniform((shape[0], 2), key, -crop, crop + 1, "int32")
        parts = tf.cast(pixels, "float32") / tf.cast(shape[1:3], "float32")
        return translate({"images": images, "labels": parts})["images"]

    def flipped(images, key):
        chance = uniform((tf.shape(images)[0], 1), key)
        return mirror({"images": images, "labels": chance})["images"]

    def rotated(images, key):
        most = math.radians(rotation)
        angles = uniform((tf.shape(images)[0], 1), key, -most, most)
        images = rotate({"images": images, "labels": angles})["images"]
        return tf.clip_by_value(images, 0.0, 1.0)

    chosen = ((crop, cropped), (flip, flipped), (rotation, rotated))
    return [change for wanted, change in chosen if wanted]
