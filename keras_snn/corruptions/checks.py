"""What corruptions refuse, before anything runs."""

import numbers

import numpy as np


def check_images(images):
    """The images as an array, if a uint8 batch."""
    images = np.asarray(images)
    shaped = images.ndim == 4 and images.shape[-1] in (1, 3)
    if images.dtype != np.uint8 or not shaped or 0 in images.shape[1:]:
        raise ValueError(
            "Argument `images` must be a uint8 array (n, height, width, 3 or "
            "1), because severities are defined on 256 grey levels. For floats "
            'in [0, 1], pass `np.round(255 * images).astype("uint8")`. '
            f"Received: images of shape {images.shape} and dtype {images.dtype}"
        )
    return images


def check_choice(argument, value, choices):
    """Refuse what is not one of the choices."""
    named = isinstance(value, str | numbers.Integral)
    if not named or isinstance(value, bool) or value not in choices:
        listed = ", ".join(map(repr, choices))
        raise ValueError(
            f"Argument `{argument}` must be one of {listed}, as nothing else "
            f"is defined. Received: {argument}={value!r}"
        )


def check_ids(ids, count):
    """The ids as int64, by default 0 to count - 1."""
    ids = np.arange(count) if ids is None else np.asarray(ids)
    whole = np.issubdtype(ids.dtype, np.integer) or not ids.size
    if ids.shape != (count,) or not whole or (ids < 0).any():
        raise ValueError(
            f"Argument `ids` must hold {count} ints >= 0, one an image, or an "
            f"image has no random stream of its own. Received: ids={ids!r}"
        )
    return ids.astype(np.int64)
