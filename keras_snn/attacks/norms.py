"""The balls that bound the change of an image.

Each norm knows how to draw a point of its unit ball, the direction of steepest
ascent, the length of a change, and the projection onto a ball.
"""

import math

from keras import ops

from keras_snn.checks import check_number

# No division by a length of zero.
TINY = 1e-12


class LInf:
    """The largest absolute change of any pixel."""

    distribution = "uniform"
    largest = 1.0

    def unit_ball(self, draw, shape):
        """Points uniform in the ball, by draws uniform in [0, 1)."""
        return 2.0 * draw(shape) - 1.0

    def steepest(self, gradients):
        """The step of length 1 that raises a linear function most."""
        return ops.sign(gradients)

    def length(self, change):
        """The length of each change, of shape (n, 1, ...)."""
        return ops.max(ops.abs(change), axis=_axes(change), keepdims=True)

    def project(self, change, radius):
        """The nearest change no longer than `radius`."""
        return ops.clip(change, -radius, radius)


class L2:
    """The Euclidean length of the change of an image."""

    distribution = "normal"
    largest = math.inf

    def unit_ball(self, draw, shape):
        """Points uniform in the ball, by standard normal draws.

        Any n coordinates of a point uniform on the sphere in n + 2 dimensions
        are uniform in the ball in n (Voelker, Gosmann and Stewart, 2017,
        "Efficiently sampling vectors and coordinates from the n-sphere and
        n-ball").
        """
        n, *image = shape
        draws = draw((n, math.prod(image) + 2))
        sphere = draws / _lengths(draws)
        return ops.reshape(sphere[:, :-2], (-1, *image))

    def steepest(self, gradients):
        """The step of length 1 that raises a linear function most."""
        return gradients / _lengths(gradients)

    def length(self, change):
        """The length of each change, of shape (n, 1, ...)."""
        return _lengths(change)

    def project(self, change, radius):
        """The nearest change no longer than `radius`."""
        return change * ops.minimum(1.0, radius / _lengths(change))


def _axes(x):
    return tuple(range(1, len(x.shape)))


def _lengths(x):
    squares = ops.sum(ops.square(x), axis=_axes(x), keepdims=True)
    return ops.maximum(ops.sqrt(squares), TINY)


NORMS = {"linf": LInf(), "l2": L2()}


def check_ball(eps, norm):
    """Refuse a norm that is not known, or a radius that is none."""
    if norm not in NORMS:
        raise ValueError(
            f"Argument `norm` must be one of {sorted(NORMS)}, or there is "
            f"no ball to stay in. Received: norm={norm!r}"
        )
    check_number("eps", eps, "in units of pixels in [0, 1]")
    if not 0 <= eps <= NORMS[norm].largest:
        raise ValueError(
            f"Argument `eps` must be in [0, {NORMS[norm].largest}] for "
            f"norm={norm!r}: pixels are in [0, 1], so 8/255 and not 8. "
            f"Received: eps={eps}"
        )
