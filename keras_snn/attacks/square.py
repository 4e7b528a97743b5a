"""Square: random search that changes squares, and asks for outputs alone.

Andriushchenko, Croce, Flammarion and Hein, 2020, "Square Attack: a
query-efficient black-box adversarial attack via random search",
https://arxiv.org/abs/1912.00049. An image keeps a change of a random square
where it lowers the margin of the true class, or makes it wrong. The squares
cover a fraction `p` of the image that halves again and again.

Differs from the paper: in L2, `eps` that is not yet used up is shared among the
channels, and `p` falls by the number of queries itself, as in the authors'
code within AutoAttack. Unlike there, squares are drawn for each image, and
reach its last row and column, as in the paper.
"""

import functools
import math

import keras
import numpy as np
from keras import ops

from keras_snn import backend
from keras_snn.attacks import logit_losses
from keras_snn.attacks.logit_attack import LogitAttack
from keras_snn.attacks.logit_attack import draws
from keras_snn.attacks.logit_attack import tensor
from keras_snn.attacks.norms import NORMS

# After these queries `p` halves (section 5.1 of the paper).
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
# Numbers drawn for a query, before one a channel: where two squares are, and
# which way the first is turned.
PLACES = 5
BLOCK = 100  # queries between which images that are wrong drop out
TINY = 1e-12


@keras.saving.register_keras_serializable(package="keras_snn")
class Square(LogitAttack):
    """Random search by squares, without gradients.

    Finds adversarial examples where gradients mislead. Images must be of
    shape (n, rows, columns, channels).

    Args:
        eps: Radius of the ball, in units of pixels in [0, 1].
        norm: `"linf"`, the largest change of any pixel, or `"l2"`, the
            Euclidean length of the change of an image.
        queries: How many changes to try for each image, at least 1.
        restarts: From how many random starts to search, at least 1.
        p: Which fraction of an image the first squares cover, in (0, 1].
        seed: Seed of the search, an integer.

    Example:

    ```python
    x_adv = Square(eps=8 / 255)(model, x, y)
    ```

    Reference:
        [Square Attack: a query-efficient black-box adversarial attack via
        random search](https://arxiv.org/abs/1912.00049)
    """

    def __init__(
        self,
        eps=8 / 255,
        *,
        norm="linf",
        queries=5000,
        restarts=1,
        p=0.8,
        seed=0,
    ):
        counts = {"queries": queries, "restarts": restarts}
        super().__init__(eps, norm=norm, seed=seed, **counts)
        if not 0 < p <= 1:
            raise ValueError(
                "Argument `p` must be in (0, 1], or squares cover nothing or "
                f"more than the image. Received: p={p}"
            )
        self.p = float(p)

    def _check_shape(self, x):
        if x.ndim != 4:
            raise ValueError(
                "Argument `x` must be of shape (n, rows, columns, channels), "
                f"or there are no squares in it. Received: x.shape={x.shape}"
            )

    def _attack(self, images):
        for restart in range(self.restarts):
            seed = [self.seed, restart]
            best = np.empty_like(images.x)
            # What is wrong by now is left out of the next block.
            for block in range(math.ceil(self.queries / BLOCK)):
                for rows in images.batches():
                    if block == 0:
                        best[rows] = self._start(images.x[rows], rows, seed)
                    found = self._search(images, best[rows], rows, seed, block)
                    best[rows] = ops.convert_to_numpy(found)
                    images.keep(rows, found)

    def _start(self, x, rows, seed):
        change = STARTS[self.norm](x.shape, rows, [*seed, 0])
        return np.clip(x + self.eps * change, 0.0, 1.0)

    def _search(self, images, best, rows, seed, block):
        """One block of queries, from the best so far."""
        network = images.network
        x, y, best = map(tensor, (images.x[rows], images.y[rows], best))
        shape = tuple(x.shape)
        change = _compiled(CHANGES[self.norm], shape)
        keep = _compiled(_keep, shape)
        eps = tensor(self.eps)
        numbers = draws(
            "random", [*seed, 1 + block], rows, (BLOCK, PLACES + shape[-1])
        )
        margin = logit_losses.margin(y, network.logits(best))
        first = block * BLOCK
        for query in range(first, min(first + BLOCK, self.queries)):
            side, pattern = self._square(query, shape[1:3])
            drawn = tensor(numbers[:, query - first])
            changed = change(x, best, drawn, tensor(side), tensor(pattern), eps)
            logits = network.logits(changed)
            best, margin = keep(best, margin, changed, logits, y)
        return best

    def _square(self, query, shape):
        """The side of a query's square, and in L2 the pattern in it."""
        halvings = sum(query > last for last in HALVINGS)
        area = self.p / 2**halvings * math.prod(shape)
        side = round(math.sqrt(area))
        if self.norm == "linf":
            return min(max(side, 1), *shape), 0.0
        side = min(max(side, 3) // 2 * 2 + 1, *shape)
        return side, _pattern(side, max(shape))

    def get_config(self):
        """The arguments, for Keras to save."""
        return {**super().get_config(), "p": self.p}


@functools.cache
def _compiled(function, size):
    """A function compiled for batches of this size, which it must know."""
    return backend.jit(function)


def _keep(best, margin, changed, logits, y):
    """Keep what lowers the margin, until the class is wrong."""
    new = logit_losses.margin(y, logits)
    better = (margin > 0) & ((new < margin) | (new <= 0))
    kept = ops.where(ops.reshape(better, (-1, 1, 1, 1)), changed, best)
    return kept, ops.where(better, new, margin)


def _stripes(shape, rows, seed):
    """The first change in L-infinity: each column up or down."""
    _, _, columns, channels = shape
    numbers = draws("random", seed, rows, (1, columns, channels))
    return np.where(numbers < 0.5, -1.0, 1.0)


def _change_linf(x, best, numbers, side, _, eps):
    """Raise or lower a square, each channel as drawn."""
    square = _square_mask(x.shape, numbers[:, 0], numbers[:, 1], side)
    change = best + 2.0 * eps * _signs(numbers) * square - x
    return ops.clip(x + NORMS["linf"].project(change, eps), 0.0, 1.0)


def _tiles(shape, rows, seed):
    """The first change in L2: five by five patterns, up or down."""
    n, height, width, channels = shape
    side = max(height // 5, 1)
    begin = (height - 5 * side) // 2 if height >= 5 else 0
    down, across = (height - begin) // side, (width - begin) // side
    numbers = draws("random", seed, rows, (down, across, 1 + channels))
    numbers = numbers[:, :, None, :, None]
    pattern = _pattern(side, side)[:, None, :, None]
    turned = pattern.transpose(2, 1, 0, 3)
    tiles = np.where(numbers[..., :1] < 0.5, pattern, turned)
    tiles = np.where(numbers[..., 1:] < 0.5, -tiles, tiles)
    change = np.zeros(shape, "float32")
    change[:, begin : begin + down * side, begin : begin + across * side] = (
        tiles.reshape(n, down * side, across * side, channels)
    )
    return change / np.sqrt((change**2).sum(axis=(1, 2, 3), keepdims=True))


def _change_l2(x, best, numbers, side, pattern, eps):
    """Move what a second square had of the change to a first."""
    change = best - x
    first = _square_mask(x.shape, numbers[:, 0], numbers[:, 1], side)
    second = _square_mask(x.shape, numbers[:, 2], numbers[:, 3], side)
    turned = ops.reshape(numbers[:, 4] < 0.5, (-1, 1, 1))
    patterns = ops.where(turned, ops.transpose(pattern), pattern)
    placed = _place(patterns, numbers, x.shape, side)
    had = change * first
    had = had / (_channel_lengths(had) + TINY)
    new = placed[..., None] * _signs(numbers) + had
    new = new / (_channel_lengths(new) + TINY)
    unused = eps**2 - ops.sum(ops.square(change), axis=(1, 2, 3), keepdims=True)
    within = _channel_lengths(change * ops.maximum(first, second))
    unused = ops.maximum(unused, 0.0) / x.shape[-1]
    new = new * ops.sqrt(unused + ops.square(within))
    change = ops.where(first > 0, new, change * (1.0 - second))
    length = NORMS["l2"].length(change)
    return ops.clip(x + eps * change / length, 0.0, 1.0)


def _pattern(side, size):
    """Two mounds side by side, one up and one down, in a corner of zeros."""
    half = side // 2
    mounds = np.concatenate([_mound(half, side), -_mound(side - half, side)])
    pattern = np.zeros((size, size), "float32")
    pattern[:side, :side] = mounds / np.sqrt((mounds**2).sum())
    return pattern


def _mound(height, width):
    """Rectangles of all sizes, one on another, of length 1."""
    reach = max(height, width) // 2 + 1
    weights = 1.0 / np.arange(1, reach + 1) ** 2
    heights = weights[::-1].cumsum()[::-1]
    rows = np.abs(np.arange(height) - height // 2)
    columns = np.abs(np.arange(width) - width // 2)
    mound = heights[np.maximum(rows[:, None], columns)]
    return mound / max(np.sqrt((mound**2).sum()), TINY)


def _square_mask(shape, down, across, side):
    """1 in each image's square, of shape (n, rows, columns, 1), and else 0."""
    inside = []
    for size, place in ((shape[1], down), (shape[2], across)):
        offset = _offsets(size, place, side)
        inside.append(ops.cast((offset >= 0) & (offset < side), "float32"))
    return inside[0][:, :, None, None] * inside[1][:, None, :, None]


def _place(patterns, numbers, shape, side):
    """Each image's pattern where its first square is, (n, rows, columns)."""
    moves = []
    for axis, size in enumerate(shape[1:3]):
        offsets = _offsets(size, numbers[:, axis], side)
        places = ops.arange(patterns.shape[-1], dtype="float32")
        moves.append(ops.cast(offsets[..., None] == places, "float32"))
    down, across = moves
    return down @ patterns @ ops.transpose(across, (0, 2, 1))


def _offsets(size, place, side):
    """Of each row (column), how far it lies behind a square's first."""
    first = ops.floor(place * (size - side + 1.0))
    return ops.arange(size, dtype="float32")[None] - first[:, None]


def _channel_lengths(change):
    squares = ops.sum(ops.square(change), axis=(1, 2), keepdims=True)
    return ops.sqrt(squares)


def _signs(numbers):
    """1 or -1 for each channel, of shape (n, 1, 1, channels)."""
    signs = ops.where(numbers[:, PLACES:] < 0.5, -1.0, 1.0)
    return signs[:, None, None, :]


STARTS = {"linf": _stripes, "l2": _tiles}
CHANGES = {"linf": _change_linf, "l2": _change_l2}
