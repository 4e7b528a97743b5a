"""The product with a sparse kernel and its two gradients, by Numba.

In the planes of `planes.py` each nonzero is one product of a vector. Of all
channels WIDTH positions are computed at a time, so that a convolution finds
what it reads and adds to in the first caches.

Arrays are flat, and nothing is checked here: `geometry` is what
`Geometry.array` returns, and the topology is that of `Topology`.
"""

import functools
import types

import numba
import numpy as np
from numba import prange

from keras_snn.compute.planes import WIDTH
from keras_snn.compute.planes import Tile
from keras_snn.compute.planes import aligned
from keras_snn.compute.planes import ceil
from keras_snn.compute.planes import gradient_rows
from keras_snn.compute.planes import input_rows
from keras_snn.compute.planes import jit
from keras_snn.compute.planes import output_rows
from keras_snn.compute.planes import pack
from keras_snn.compute.planes import places_of
from keras_snn.compute.planes import plan
from keras_snn.compute.planes import shape_of
from keras_snn.compute.planes import tap_reads
from keras_snn.compute.planes import unpack
from keras_snn.compute.vectors import add_dots
from keras_snn.compute.vectors import add_rows
from keras_snn.compute.vectors import add_to_rows

STRETCH = 256  # Positions of a dot product.
GROUP = 2048  # Channels that WIDTH positions are added up of at a time.
ROWS = 256  # Of a block of input channels, at least, and
NONZEROS = 16  # what an output channel has of them, at least, on average.
# Nonzeros are sorted where a tile has more positions, or outputs more channels.
FEW_POSITIONS = 2 * WIDTH
FEW_CHANNELS = 4 * GROUP


@jit
def _by_channel(geometry, by_row, filters):
    """The nonzeros in the order of input channels: starts, rows and order.

    For each phase in turn, of all taps that read it. A row is, as in
    `gradient_rows`, a tap and an output channel. `order` tells where each is
    in that of the topology, and is empty if that is the same.
    """
    shape = shape_of(geometry)
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
            reads, _ = tap_reads(shape, Tile(1, 1), tap)
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
    shape = shape_of(geometry)
    _, _, of_y = plan(shape, images)
    if of_y.used <= FEW_POSITIONS and shape.filters <= FEW_CHANNELS:
        nothing = np.empty(0, np.int32)
        return nothing, nothing, nothing
    taps, channels = shape.kernel_y * shape.kernel_x, shape.channels
    average = max(by_row[-1] // shape.filters, 1)  # Of an output channel.
    block = max(ROWS, NONZEROS * taps * channels // average)
    step = ceil(block, taps)
    starts = np.zeros(ceil(channels, step) * shape.filters + 1, np.int32)
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
    shape = shape_of(geometry)
    tile, of_x, of_y = plan(shape, images)
    packed = pack(of_x, tile, x, begin, images)
    table = input_rows(shape, of_x, tile)
    places = places_of(of_y, tile, 0, begin, images)
    group = min(shape.filters, GROUP if starts.size else FEW_CHANNELS)
    lines = aligned(group * WIDTH)
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
            unpack(lines, size, y, places, to, first, count)


@jit
def _gradients_tile(
    geometry, images, begin, starts, rows, values, g, dx, x, dw
):
    """Writes a tile of dx, and adds to dw, unless it is None.

    Nonzeros are in the order of `_by_channel`.
    """
    shape = shape_of(geometry)
    tile, of_x, of_y = plan(shape, images)
    packed = pack(of_y, tile, g, begin, images)
    table = gradient_rows(shape, of_y, tile)
    packed_x = packed
    if dw is not None:
        packed_x = pack(of_x, tile, x, begin, images)
    group = min(shape.channels, WIDTH)
    lines = aligned(group * WIDTH)
    for phase in range(of_x.count):
        places = places_of(of_x, tile, phase, begin, images)
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
                unpack(lines, size, dx, places, to, first, count)


@jit
def _weight_gradient_tile(geometry, images, begin, by_row, filters, x, g, dw):
    shape = shape_of(geometry)
    tile, of_x, of_y = plan(shape, images)
    packed_x = pack(of_x, tile, x, begin, images)
    packed_g = pack(of_y, tile, g, begin, images)
    x_rows, g_rows = input_rows(shape, of_x, tile), output_rows(of_y)
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
    shape = shape_of(geometry)
    images = x.size // (shape.height * shape.width * shape.channels)
    return images, plan(shape, images)[0].images, shape.threads


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
    for t in prange(ceil(images, step)):
        _forward_tile(
            geometry, images, t * step, by_row, filters, starts, rows, values,
            x, y,
        )  # fmt: skip


def input_gradient(geometry, by_row, filters, values, g, dx):
    """Writes the gradient by x to dx, of g, the gradient by y."""
    images, step, _ = _tiles(geometry, dx)
    starts, rows, order = _by_channel(geometry, by_row, filters)
    values = _in_order(values, order)
    for t in prange(ceil(images, step)):
        _gradients_tile(
            geometry, images, t * step, starts, rows, values, g, dx, None, None
        )


def weight_gradient(geometry, by_row, filters, x, g, dw):
    """Writes the gradient by each nonzero to dw, of g, the gradient by y."""
    images, step, threads = _tiles(geometry, x)
    tiles = ceil(images, step)
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
    tiles = ceil(images, step)
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
