"""How a batch of images lies in planes, which the kernels compute with.

A sparse convolution is a sum of shifted planes: the nonzero (y, x, c, o) of a
kernel adds its value times channel c of the input, shifted by (y, x), to
channel o of the output. So a batch is turned, tile by tile, into planes whose
innermost axis is that of positions, images fastest. A stride makes planes of
each of its phases. A Dense layer is the convolution of images of one pixel.

Zeros around an image are shared: the right edge of a row of pixels is the left
one of the next, so one column of 33 is wasted for a 3x3 kernel on 32x32.
"""

import collections

import numba
import numpy as np

from keras_snn.compute.vectors import BLOCK
from keras_snn.compute.vectors import transpose
from keras_snn.compute.vectors import transpose_back

CACHE = 1 << 17  # Floats of a tile, which stay in a core's second cache.
MEMORY = 1 << 23  # Floats of inputs or outputs, which tiles of BLOCK stay in.
WIDTH = 64  # Positions that are computed at once; a tile has more, if it can.

Shape = collections.namedtuple(
    "Shape",
    "height width channels rows columns filters kernel_y kernel_x "
    "stride_y stride_x pad_y pad_x threads",
)
# How images of one kind, the input or the output, lie in the planes of a tile.
Planes = collections.namedtuple(
    "Planes",
    "count height width channels stride_y stride_x before size used slack",
)
# `images` a tile; `pitch` pixels a row of a plane.
Tile = collections.namedtuple("Tile", "images pitch")

jit = numba.njit(nogil=True, error_model="numpy")


@jit
def ceil(a, b):
    """The quotient, rounded up."""
    return -(-a // b)


@jit
def _rounded(size):
    return ceil(size, BLOCK) * BLOCK


@jit
def _plane(size):
    """Of a plane: if large, odd BLOCKs, or all begin in the same cache sets."""
    size = _rounded(size)
    return size if size <= WIDTH else size | BLOCK


@jit
def aligned(size):
    """An array that begins as a line of a cache does: else each read is two."""
    array = np.empty(size + BLOCK, np.float32)
    first = -array.ctypes.data // array.itemsize % BLOCK
    return array[first : first + size]


@jit
def shape_of(g):
    """The `Shape` of a geometry, an array of int32."""
    return Shape(
        np.int64(g[0]), np.int64(g[1]), np.int64(g[2]), np.int64(g[3]),
        np.int64(g[4]), np.int64(g[5]), np.int64(g[6]), np.int64(g[7]),
        np.int64(g[8]), np.int64(g[9]), np.int64(g[10]), np.int64(g[11]),
        np.int64(g[12]),
    )  # fmt: skip


@jit
def _reach(kernel, pad, stride):
    """How many steps taps read before a position, and behind it."""
    return max(0, -(-pad // stride)), max(0, (kernel - 1 - pad) // stride)


@jit
def plan(shape, images):
    """How a batch is cut: a `Tile`, and the `Planes` of inputs and outputs."""
    s = shape
    up, down = _reach(s.kernel_y, s.pad_y, s.stride_y)
    left, right = _reach(s.kernel_x, s.pad_x, s.stride_x)
    in_rows = ceil(s.height, s.stride_y)
    in_columns = ceil(s.width, s.stride_x)
    pitch = max(in_columns + left, s.columns + right)
    x_rows = up + max(in_rows, s.rows + down)
    y_rows = down + max(s.rows, in_rows + up)
    phases = s.stride_y * s.stride_x
    pixels = pitch * max(x_rows, y_rows)
    of_cache = CACHE // (pixels * (s.channels * phases + s.filters))
    large = MEMORY // (pixels * max(s.channels * phases, s.filters))
    tile = max(of_cache, ceil(WIDTH, pixels), min(BLOCK, large), 1)
    tile = min(tile, max(ceil(images, s.threads), 1))
    if tile > BLOCK:
        tile = tile // BLOCK * BLOCK
    line = pitch * tile
    x_used, y_used = _rounded(in_rows * line), _rounded(s.rows * line)
    slack = _rounded((left + right) * tile) + BLOCK
    x = Planes(
        phases, s.height, s.width, s.channels, s.stride_y, s.stride_x,
        up * line, _plane(max(x_rows * line, up * line + x_used)), x_used,
        slack,
    )  # fmt: skip
    y = Planes(
        1, s.rows, s.columns, s.filters, 1, 1,
        down * line, _plane(max(y_rows * line, down * line + y_used)), y_used,
        slack,
    )  # fmt: skip
    return Tile(tile, pitch), x, y


@jit
def places_of(planes, tile, phase, first, images):
    """Where each position of a plane is in a batch, or -1: of the edges, too.

    Positions are those of a whole plane, `before` included.
    """
    p = planes
    places = np.full(p.size, -1, np.int64)
    at_y, at_x = phase // p.stride_x, phase % p.stride_x
    present = min(tile.images, images - first)
    for row in range(ceil(p.height - at_y, p.stride_y)):
        for column in range(ceil(p.width - at_x, p.stride_x)):
            y, x = row * p.stride_y + at_y, column * p.stride_x + at_x
            at = p.before + (row * tile.pitch + column) * tile.images
            for n in range(present):
                pixel = ((first + n) * p.height + y) * p.width + x
                places[at + n] = pixel * p.channels
    return places


@jit
def pack(planes, tile, batch, first, images):
    """The planes of a tile, zeros around."""
    p = planes
    packed = aligned(2 * p.slack + p.count * p.channels * p.size)
    packed[: p.slack] = 0
    packed[packed.size - p.slack :] = 0
    whole = p.channels - p.channels % BLOCK
    for phase in range(p.count):
        places = places_of(p, tile, phase, first, images)
        start = p.slack + phase * p.channels * p.size
        for at in range(0, p.size, BLOCK):
            for c in range(0, whole, BLOCK):
                to = start + c * p.size + at
                transpose(packed, to, p.size, batch, places, at, c)
            for c in range(whole, p.channels):
                for k in range(at, at + BLOCK):
                    place = places[k]
                    value = batch[place + c] if place >= 0 else np.float32(0)
                    packed[start + c * p.size + k] = value
    return packed


@jit
def unpack(lines, size, batch, places, at, first, channels):
    """Channels of WIDTH positions each, of which `size` go to a batch.

    From the place `at` on, and from channel `first` on.
    """
    whole = channels - channels % BLOCK
    for k in range(0, size, BLOCK):
        for c in range(0, whole, BLOCK):
            transpose_back(
                batch, places, at + k, first + c, lines, c * WIDTH + k, WIDTH
            )
        for position in range(k, k + BLOCK):
            place = places[at + position]
            if place >= 0:
                for c in range(whole, channels):
                    batch[place + first + c] = lines[c * WIDTH + position]


@jit
def tap_reads(shape, tile, tap):
    """The phase that a tap reads, and how far from its own position."""
    s = shape
    y, x = tap // s.kernel_x - s.pad_y, tap % s.kernel_x - s.pad_x
    phase = y % s.stride_y * s.stride_x + x % s.stride_x
    shift = y // s.stride_y * tile.pitch + x // s.stride_x
    return phase, shift * tile.images


@jit
def input_rows(shape, planes, tile):
    """Where in packed inputs each row (tap, channel) of a kernel reads."""
    taps, channels = shape.kernel_y * shape.kernel_x, shape.channels
    table = np.empty(taps * channels, np.int64)
    for tap in range(taps):
        phase, shift = tap_reads(shape, tile, tap)
        start = planes.slack + planes.before + shift
        for c in range(channels):
            row = phase * channels + c
            table[tap * channels + c] = start + row * planes.size
    return table


@jit
def output_rows(planes):
    """Where in packed outputs each channel begins, `before` included."""
    start = planes.slack + planes.before
    return start + np.arange(planes.channels) * planes.size


@jit
def gradient_rows(shape, planes, tile):
    """Where in packed outputs each (tap, channel) reads, for an input."""
    starts = output_rows(planes)
    taps = shape.kernel_y * shape.kernel_x
    table = np.empty(taps * starts.size, np.int64)
    for tap in range(taps):
        _, shift = tap_reads(shape, tile, tap)
        table[tap * starts.size : (tap + 1) * starts.size] = starts - shift
    return table
