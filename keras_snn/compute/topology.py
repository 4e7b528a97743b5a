"""Where the nonzeros of a kernel are: what is stored in place of a mask."""

import math
import typing

import numpy as np

MOST = 2**31 - 1  # Nonzeros, or taps times channels: an int32's.


class Topology(typing.NamedTuple):
    """The nonzeros of a kernel, row by row, as int32 arrays.

    A kernel of shape (..., in, out) has a row for each input of an output
    channel, so nonzeros in the order of rows are those of the kernel in its
    own order.

    Attributes:
        by_row: (rows + 1,): the nonzeros of row r are those from `by_row[r]`
            until before `by_row[r + 1]`.
        filters: (room,): the output channel of each nonzero, in increasing
            order within a row. Behind the last there may be room for more.
    """

    by_row: np.ndarray
    filters: np.ndarray

    @classmethod
    def of_positions(cls, positions, shape, room):
        """That of the nonzeros at flat positions, in increasing order.

        Args:
            positions: Int array, in increasing order, none twice.
            shape: The kernel's.
            room: Int, at least as many as there are positions.
        """
        rows, filters = np.divmod(positions, shape[-1])
        by_row = np.zeros(math.prod(shape[:-1]) + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=len(by_row) - 1), out=by_row[1:])
        stored = np.zeros(room, np.int32)
        stored[: len(positions)] = filters
        return cls(by_row.astype(np.int32), stored)

    @property
    def count(self):
        """How many nonzeros there are."""
        return int(self.by_row[-1])

    def positions(self, channels):
        """The flat positions of the nonzeros, an int64 array.

        Args:
            channels: The output channels of the kernel.
        """
        rows = np.repeat(
            np.arange(len(self.by_row) - 1, dtype=np.int64),
            np.diff(self.by_row),
        )
        return rows * channels + self.filters[: self.count]


def positions_of_file(by_row, filters, shape, name):
    """The flat positions that a file's arrays tell, if they are sound.

    Args:
        by_row: As in `Topology`.
        filters: As in `Topology`.
        shape: The kernel's.
        name: The layer's, for the error.

    Raises:
        ValueError: If they are not the nonzeros of such a kernel: kernels
            would read and write beyond their arrays.
    """
    by_row, filters = np.asarray(by_row), np.asarray(filters)
    rows, channels = math.prod(shape[:-1]), shape[-1]
    wrong = None
    if any(a.dtype.kind not in "iu" or a.ndim != 1 for a in (by_row, filters)):
        wrong = f"arrays of {by_row.dtype} and {filters.dtype}"
    elif len(by_row) != rows + 1:
        wrong = f"{len(by_row) - 1} rows in place of {rows}"
    else:
        by_row, filters = by_row.astype(np.int64), filters.astype(np.int64)
        if by_row[0] != 0 or (np.diff(by_row) < 0).any():
            wrong = "rows that do not follow each other"
        elif by_row[-1] > len(filters):
            wrong = f"rows of {by_row[-1]} nonzeros, and {len(filters)} stored"
    if wrong is None:
        filters = filters[: by_row[-1]]
        if ((filters < 0) | (filters >= channels)).any():
            wrong = f"output channels outside [0, {channels})"
    if wrong is None:
        positions = (
            np.repeat(np.arange(rows), np.diff(by_row)) * channels + filters
        )
        if (np.diff(positions) <= 0).any():
            wrong = "nonzeros of a row that are not in increasing order"
    if wrong is not None:
        raise ValueError(
            "A file must tell where the nonzeros of a kernel are, or memory "
            "that is not the layer's would be read; this one is damaged. "
            f"Received, for the layer {name!r} with a kernel of shape {shape}: "
            f"{wrong}"
        )
    return positions


def check_counts(shape, room):
    """Refuse a kernel with more than an int32 counts.

    Args:
        shape: The kernel's.
        room: How many nonzeros it is to have.
    """
    *taps, inputs, outputs = shape
    if max(room, math.prod(taps) * max(inputs, outputs)) > MOST:
        raise ValueError(
            f"A sparse kernel holds at most {MOST} nonzeros, and taps times "
            "channels, which its indices count in 32 bits: split the layer. "
            f"Received: {room} nonzeros in a kernel of shape {shape}"
        )
