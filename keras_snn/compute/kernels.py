"""The product with a sparse kernel and its two gradients, by Numba.

A sparse convolution is a sum of shifted planes: the nonzero (y, x, c, o) of a
kernel adds its value times channel c of the input, shifted by (y, x), to
channel o of the output. So a batch is turned, tile by tile, into planes whose
innermost axis is that of positions, images fastest; each nonzero is then one
product of a vector. A stride makes planes of each of its phases. A Dense layer
is the convolution of images of one pixel.

Of all channels WIDTH positions are computed at a time, so that a convolution
finds what it reads and adds to in the first caches.

Zeros around an image are shared: the right edge of a row of pixels is the left
one of the next, so one column of 33 is wasted for a 3x3 kernel on 32x32.

Arrays are flat, and nothing is checked here: `geometry` is what
`Geometry.array` returns, and the topology is that of `Topology`.
"""

import collections
import functools
import types

import numba
import numpy as np
from numba import prange

from keras_snn.compute.vectors import BLOCK
from keras_snn.compute.vectors import add_dots
from keras_snn.compute.vectors import add_rows
from keras_snn.compute.vectors import add_to_rows
from keras_snn.compute.vectors import transpose
from keras_snn.compute.vectors import transpose_back

CACHE = 1 << 17  # Floats of a tile, which stay in a core's second cache.
MEMORY = 1 << 23  # Floats of inputs or outputs, which tiles of BLOCK stay in.
WIDTH = 64  # Positions that are computed at once; a tile has more, if it can.
STRETCH = 256  # Positions of a dot product.
GROUP = 2048  # Channels that WIDTH positions are added up of at a time.
ROWS = 256  # Of a block of input channels, at least, and
NONZEROS = 16  # what an output channel has of them, at least, on average.
# Nonzeros are sorted where a tile has more positions, or outputs more channels.
FEW_POSITIONS = 2 * WIDTH
FEW_CHANNELS = 4 * GROUP

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
def _ceil(a, b):
    return -(-a // b)


@jit
def _rounded(size):
    return _ceil(size, BLOCK) * BLOCK


@jit
def _plane(size):
    """Of a plane: if large, odd BLOCKs, or all begin in the same cache sets."""
    size = _rounded(size)
    return size if size <= WIDTH else size | BLOCK


@jit
def _aligned(size):
    """An array that begins as a line of a cache does: else each read is two."""
    array = np.empty(size + BLOCK, np.float32)
    first = -array.ctypes.data // array.itemsize % BLOCK
    return array[first : first + size]


@jit
def _shape(g):
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
def _plan(shape, images):
    """How a batch is cut: a `Tile`, and the `Planes` of inputs and outputs."""
    s = shape
    up, down = _reach(s.kernel_y, s.pad_y, s.stride_y)
    left, right = _reach(s.kernel_x, s.pad_x, s.stride_x)
    in_rows = _ceil(s.height, s.stride_y)
    in_columns = _ceil(s.width, s.stride_x)
    pitch = max(in_columns + left, s.columns + right)
    x_rows = up + max(in_rows, s.rows + down)
    y_rows = down + max(s.rows, in_rows + up)
    phases = s.stride_y * s.stride_x
    pixels = pitch * max(x_rows, y_rows)
    of_cache = CACHE // (pixels * (s.channels * phases + s.filters))
    large = MEMORY // (pixels * max(s.channels * phases, s.filters))
    tile = max(of_cache, _ceil(WIDTH, pixels), min(BLOCK, large), 1)
    tile = min(tile, max(_ceil(images, s.threads), 1))
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
def _places(planes, tile, phase, first, images):
    """Where each position of a plane is in a batch, or -1: of the edges, too.

    Positions are those of a whole plane, `before` included.
    """
    p = planes
    places = np.full(p.size, -1, np.int64)
    at_y, at_x = phase // p.stride_x, phase % p.stride_x
    present = min(tile.images, images - first)
    for row in range(_ceil(p.height - at_y, p.stride_y)):
        for column in range(_ceil(p.width - at_x, p.stride_x)):
            y, x = row * p.stride_y + at_y, column * p.stride_x + at_x
            at = p.before + (row * tile.pitch + column) * tile.images
            for n in range(present):
                pixel = ((first + n) * p.height + y) * p.width + x
                places[at + n] = pixel * p.channels
    return places


@jit
def _pack(planes, tile, batch, first, images):
    """The planes of a tile, zeros around."""
    p = planes
    packed = _aligned(2 * p.slack + p.count * p.channels * p.size)
    packed[: p.slack] = 0
    packed[packed.size - p.slack :] = 0
    whole = p.channels - p.channels % BLOCK
    for phase in range(p.count):
        places = _places(p, tile, phase, first, images)
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
def _unpack(lines, size, batch, places, at, first, channels):
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
def _tap(shape, tile, tap):
    """The phase that a tap reads, and how far from its own position."""
    s = shape
    y, x = tap // s.kernel_x - s.pad_y, tap % s.kernel_x - s.pad_x
    phase = y % s.stride_y * s.stride_x + x % s.stride_x
    shift = y // s.stride_y * tile.pitch + x // s.stride_x
    return phase, shift * tile.images


@jit
def _input_rows(shape, planes, tile):
    """Where in packed inputs each row (tap, channel) of a kernel reads."""
    taps, channels = shape.kernel_y * shape.kernel_x, shape.channels
    table = np.empty(taps * channels, np.int64)
    for tap in range(taps):
        phase, shift = _tap(shape, tile, tap)
        start = planes.slack + planes.before + shift
        for c in range(channels):
            row = phase * channels + c
            table[tap * channels + c] = start + row * planes.size
    return table


@jit
def _output_rows(planes):
    """Where in packed outputs each channel begins, `before` included."""
    start = planes.slack + planes.before
    return start + np.arange(planes.channels) * planes.size


@jit
def _gradient_rows(shape, planes, tile):
    """Where in packed outputs each (tap, channel) reads, for an input."""
    starts = _output_rows(planes)
    taps = shape.kernel_y * shape.kernel_x
    table = np.empty(taps * starts.size, np.int64)
    for tap in range(taps):
        _, shift = _tap(shape, tile, tap)
        table[tap * starts.size : (tap + 1) * starts.size] = starts - shift
    return table


@jit
def _by_channel(geometry, by_row, filters):
    """The nonzeros in the order of input channels: starts, rows and order.

    For each phase in turn, of all taps that read it. A row is, as in
    `_gradient_rows`, a tap and an output channel. `order` tells where each is
    in that of the topology, and is empty if that is the same.
    """
    shape = _shape(geometry)
    taps, channels = shape.kernel_y * shape.kernel_x, shape.channels
    phases = shape.stride_y * shape.stride_x
    if taps * phases == 1:
        return by_row, filters, np.empty(0, np.int32)
    starts = np.empty(phases * channels + 1, np.int32)
    rows, order = np.empty_like(filters), np.empty_like(filters)
    count = 0
    for place in range(phases * channels):
        starts[place] = count
        phase, channel = divmod(place, channels)
        for tap in range(taps):
            reads, _ = _tap(shape, Tile(1, 1), tap)
            if reads != phase:
                continue
            row = tap * channels + channel
            for j in range(by_row[row], by_row[row + 1]):
                rows[count], order[count] = tap * shape.filters + filters[j], j
                count += 1
    starts[phases * channels] = count
    return starts, rows, order[:count]


@jit
def _in_order(values, order):
    return values[order] if order.size else values


@jit
def _add_rows(
    size, out, to, values, index, begin, end, table, packed, by, dots, line,
    line_at,
):  # fmt: skip
    """As `add_rows`, of `size` positions: at most WIDTH, whole BLOCKs."""
    if size == 64:
        add_rows(
            64, out, to, values, index, begin, end, table, packed, by, dots,
            line, line_at,
        )  # fmt: skip
    elif size >= 32:
        add_rows(
            32, out, to, values, index, begin, end, table, packed, by, dots,
            line, line_at,
        )  # fmt: skip
    if size % 32:
        k = size - 16
        add_rows(
            16, out, to + k, values, index, begin, end, table, packed, by + k,
            dots, line, line_at + k,
        )  # fmt: skip


@jit
def _add_to_rows(size, out, values, index, begin, end, line, line_at):
    """As `add_to_rows`, of `size` positions, where each of `out` has WIDTH."""
    if size == 64:
        add_to_rows(64, out, 0, WIDTH, values, index, begin, end, line, line_at)
    elif size >= 32:
        add_to_rows(32, out, 0, WIDTH, values, index, begin, end, line, line_at)
    if size % 32:
        k = size - 16
        add_to_rows(
            16, out, k, WIDTH, values, index, begin, end, line, line_at + k
        )


@jit
def _by_filter(geometry, images, by_row, filters):
    """The nonzeros in the order of output channels: starts, rows and order.

    For each block of input channels in turn, in increasing order of these. All
    are empty where it takes longer to sort them than it spares.
    """
    shape = _shape(geometry)
    _, _, of_y = _plan(shape, images)
    if of_y.used <= FEW_POSITIONS and shape.filters <= FEW_CHANNELS:
        nothing = np.empty(0, np.int32)
        return nothing, nothing, nothing
    taps, channels = shape.kernel_y * shape.kernel_x, shape.channels
    average = max(by_row[-1] // shape.filters, 1)  # Of an output channel.
    block = max(ROWS, NONZEROS * taps * channels // average)
    step = _ceil(block, taps)
    starts = np.zeros(_ceil(channels, step) * shape.filters + 1, np.int32)
    for row in range(taps * channels):
        first = row % channels // step * shape.filters + 1
        for j in range(by_row[row], by_row[row + 1]):
            starts[first + filters[j]] += 1
    for place in range(starts.size - 1):
        starts[place + 1] += starts[place]
    following = starts.copy()
    rows, order = np.empty_like(filters), np.empty_like(filters)
    for channel in range(channels):
        first = channel // step * shape.filters
        for tap in range(taps):
            row = tap * channels + channel
            for j in range(by_row[row], by_row[row + 1]):
                place = following[first + filters[j]]
                following[first + filters[j]] += 1
                rows[place], order[place] = row, j
    return starts, rows, order[: starts[-1]]


@jit
def _forward_tile(
    geometry, images, begin, by_row, filters, starts, rows, values, x, y
):
    shape = _shape(geometry)
    tile, of_x, of_y = _plan(shape, images)
    packed = _pack(of_x, tile, x, begin, images)
    table = _input_rows(shape, of_x, tile)
    places = _places(of_y, tile, 0, begin, images)
    group = min(shape.filters, GROUP if starts.size else FEW_CHANNELS)
    lines = _aligned(group * WIDTH)
    for start in range(0, of_y.used, WIDTH):
        size, to = min(WIDTH, of_y.used - start), of_y.before + start
        for first in range(0, shape.filters, group):
            count = min(group, shape.filters - first)
            lines[:] = 0
            for block in range(first, starts.size - 1, shape.filters):
                for f in range(count):
                    _add_rows(
                        size, lines, f * WIDTH, values, rows, starts[block + f],
                        starts[block + f + 1], table, packed, start, None,
                        packed, 0,
                    )  # fmt: skip
            if starts.size == 0:
                for row in range(table.size):
                    _add_to_rows(
                        size, lines, values, filters, by_row[row],
                        by_row[row + 1], packed, table[row] + start,
                    )  # fmt: skip
            _unpack(lines, size, y, places, to, first, count)


@jit
def _gradients_tile(
    geometry, images, begin, starts, rows, values, g, dx, x, dw
):
    """Writes a tile of dx, and adds to dw, unless it is None.

    Nonzeros are in the order of `_by_channel`.
    """
    shape = _shape(geometry)
    tile, of_x, of_y = _plan(shape, images)
    packed = _pack(of_y, tile, g, begin, images)
    table = _gradient_rows(shape, of_y, tile)
    packed_x = packed
    if dw is not None:
        packed_x = _pack(of_x, tile, x, begin, images)
    group = min(shape.channels, WIDTH)
    lines = _aligned(group * WIDTH)
    for phase in range(of_x.count):
        places = _places(of_x, tile, phase, begin, images)
        for start in range(0, of_x.used, WIDTH):
            size, to = min(WIDTH, of_x.used - start), of_x.before + start
            for first in range(0, shape.channels, group):
                count = min(group, shape.channels - first)
                lines[:] = 0
                for c in range(count):
                    place = phase * shape.channels + first + c
                    _add_rows(
                        size, lines, c * WIDTH, values, rows, starts[place],
                        starts[place + 1], table, packed, start, dw, packed_x,
                        of_x.slack + place * of_x.size + to,
                    )  # fmt: skip
                _unpack(lines, size, dx, places, to, first, count)


@jit
def _weight_gradient_tile(geometry, images, begin, by_row, filters, x, g, dw):
    shape = _shape(geometry)
    tile, of_x, of_y = _plan(shape, images)
    packed_x = _pack(of_x, tile, x, begin, images)
    packed_g = _pack(of_y, tile, g, begin, images)
    x_rows, g_rows = _input_rows(shape, of_x, tile), _output_rows(of_y)
    for start in range(0, of_y.used, STRETCH):
        size = min(STRETCH, of_y.used - start)
        for row in range(x_rows.size):
            j, end, at = by_row[row], by_row[row + 1], x_rows[row] + start
            while j + 4 <= end:
                add_dots(
                    4, dw, j, size, packed_x, at, packed_g, g_rows, start,
                    filters,
                )  # fmt: skip
                j += 4
            while j < end:
                add_dots(
                    1, dw, j, size, packed_x, at, packed_g, g_rows, start,
                    filters,
                )  # fmt: skip
                j += 1


@jit
def _tiles(geometry, x):
    """The images of a batch of inputs, those of a tile, and the threads."""
    shape = _shape(geometry)
    images = x.size // (shape.height * shape.width * shape.channels)
    return images, _plan(shape, images)[0].images, shape.threads


@jit
def _zeros(dw, parts):
    """What each part adds up dw in: a single one in dw itself."""
    if parts == 1:
        dw[:] = 0
        return dw.reshape(1, dw.size)
    return np.zeros((parts, dw.size), np.float32)


@jit
def _add_up(sums, dw):
    if len(sums) > 1:
        dw[:] = sums[0]
        for part in range(1, len(sums)):
            dw += sums[part]


def forward(geometry, by_row, filters, values, x, y):
    """Writes the product with x to y."""
    images, step, _ = _tiles(geometry, x)
    starts, rows, order = _by_filter(geometry, images, by_row, filters)
    values = _in_order(values, order)
    for t in prange(_ceil(images, step)):
        _forward_tile(
            geometry, images, t * step, by_row, filters, starts, rows, values,
            x, y,
        )  # fmt: skip


def input_gradient(geometry, by_row, filters, values, g, dx):
    """Writes the gradient by x to dx, of g, the gradient by y."""
    images, step, _ = _tiles(geometry, dx)
    starts, rows, order = _by_channel(geometry, by_row, filters)
    values = _in_order(values, order)
    for t in prange(_ceil(images, step)):
        _gradients_tile(
            geometry, images, t * step, starts, rows, values, g, dx, None, None
        )


def weight_gradient(geometry, by_row, filters, x, g, dw):
    """Writes the gradient by each nonzero to dw, of g, the gradient by y."""
    images, step, threads = _tiles(geometry, x)
    tiles = _ceil(images, step)
    parts = max(min(threads, tiles), 1)
    sums = _zeros(dw, parts)
    for part in prange(parts):
        for t in range(part, tiles, parts):
            _weight_gradient_tile(
                geometry, images, t * step, by_row, filters, x, g, sums[part]
            )
    _add_up(sums, dw)


def gradients(geometry, by_row, filters, values, x, g, dx, dw):
    """Writes both gradients, in one pass over g, which is what takes time."""
    images, step, threads = _tiles(geometry, x)
    tiles = _ceil(images, step)
    parts = max(min(threads, tiles), 1)
    sums = _zeros(dw, parts)
    starts, rows, order = _by_channel(geometry, by_row, filters)
    values = _in_order(values, order)
    for part in prange(parts):
        for t in range(part, tiles, parts):
            _gradients_tile(
                geometry, images, t * step, starts, rows, values, g, dx, x,
                sums[part],
            )  # fmt: skip
    _add_up(sums, dw)
    if order.size:
        dw[order] = dw[: order.size].copy()


@functools.cache
def compiled(name, threaded):
    """One of the kernels above, compiled when it is first called.

    Args:
        name: Its name.
        threaded: Whether tiles are shared out among Numba's threads.
    """
    options = {"nogil": True, "error_model": "numpy", "parallel": threaded}
    return kept(
        globals()[name],
        f"{name}_threaded" if threaded else name,
        functools.partial(numba.njit, **options),
    )


def kept(function, name, compiler, **names):
    """A function, compiled and kept on disk where there is a folder for it.

    Args:
        function: A function of this package.
        name: By which it is kept: what differs must be named differently.
        compiler: `numba.njit` or `numba.cfunc`, with its other arguments.
        **names: What the function finds by name besides.
    """
    function = types.FunctionType(
        function.__code__, {**function.__globals__, **names}, name
    )
    function.__qualname__ = name
    try:
        return compiler(cache=True)(function)
    except RuntimeError:
        return compiler()(function)
