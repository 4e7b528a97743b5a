"""What a file stores: its tensors, and what they cost at least."""

import dataclasses
import math

import numpy as np

_DTYPES = "float32 float16 float64 int64 int32 int16 int8 uint8 bool".split()


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """A constant of a file: a weight, as it is stored.

    Attributes:
        name: Its name in the file.
        shape: Tuple of ints.
        dtype: Of its values, as `"float32"`.
        is_sparse: Whether nonzeros are stored with their positions, rather
            than all values.
        active: How many of its values are not zero, as stored: int8 rounds
            small ones to zero, which adds to those of the mask.
        bytes: What its values and their positions take.
    """

    name: str
    shape: tuple
    dtype: str
    is_sparse: bool
    active: int
    bytes: int

    @property
    def sparsity(self):
        """Fraction of zeros, in [0, 1]."""
        size = math.prod(self.shape)
        return 1 - self.active / size if size else 0.0

    @property
    def bound(self):
        """Bytes that the nonzeros and the entropy of their mask take.

        With n values and k nonzeros of b bytes: k b + n H(k / n) / 8, where H
        is the entropy of a bit that is set with that probability. A file needs
        that much if all masks of k are alike to it, and so are all values.
        """
        size, density = math.prod(self.shape), 1 - self.sparsity
        entropy = -sum(
            p * math.log2(p) for p in (density, 1 - density) if p > 0
        )
        values = self.active * np.dtype(self.dtype).itemsize
        return values + math.ceil(size * entropy / 8)


def stored_tensors(content):
    """The constants that a TFLite file stores.

    Args:
        content: The file's bytes.

    Returns:
        A list of `StoredTensor`s, largest first; those that share their values
        with another are left out.
    """
    from ai_edge_litert import schema_py_generated as schema

    dtypes = {getattr(schema.TensorType, d.upper()): d for d in _DTYPES}
    file = schema.ModelT.InitFromPackedBuf(content)
    tensors = {}
    for graph in file.subgraphs:
        for tensor in graph.tensors:
            data = file.buffers[tensor.buffer].data
            if data is not None and tensor.type in dtypes:
                dtype = dtypes[tensor.type]
                tensors[tensor.buffer] = _stored(tensor, data, dtype)
    return sorted(tensors.values(), key=lambda t: -t.bytes)


def _stored(tensor, data, dtype):
    shape = () if tensor.shape is None else map(int, tensor.shape)
    return StoredTensor(
        tensor.name.decode(),
        tuple(shape),
        dtype,
        tensor.sparsity is not None,
        int(np.count_nonzero(np.asarray(data).view(dtype))),
        len(data) + _bytes_of_positions(tensor.sparsity),
    )


def _bytes_of_positions(sparsity):
    dimensions = [] if sparsity is None else sparsity.dimMetadata
    return sum(
        np.asarray(vector.values).nbytes
        for dimension in dimensions
        for vector in (dimension.arraySegments, dimension.arrayIndices)
        if vector is not None and vector.values is not None
    )
