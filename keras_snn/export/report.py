"""What an export wrote and measured."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What `export_tflite` wrote and measured.

    Attributes:
        path: The file, a `pathlib.Path`.
        size: Its size in bytes.
        gzip_size: Its size in bytes after gzip.
        dense_size: Bytes of the same model converted without sparse encoding
            or int8; None if not asked for.
        dense_gzip_size: That file's bytes after gzip, or None.
        sparsity: Fraction of zeros in the kernels, in [0, 1].
        sparse_tensors: How many tensors the file stores sparse.
        max_difference: Largest difference between an output of the file and
            the Keras model's, as a fraction of that output's largest absolute
            value.
    """

    path: pathlib.Path
    size: int
    gzip_size: int
    dense_size: int | None
    dense_gzip_size: int | None
    sparsity: float
    sparse_tensors: int
    max_difference: float

    def __str__(self):
        lines = [
            f"{self.path}: {self.size:,} bytes, {self.gzip_size:,} with gzip"
        ]
        if self.dense_size:
            lines.append(
                f"dense: {self.dense_size:,} bytes, {self.dense_gzip_size:,} "
                f"with gzip; the file is {self.size / self.dense_size:.1%} "
                f"of that, {self.gzip_size / self.dense_gzip_size:.1%} with "
                "gzip"
            )
        lines.append(
            f"sparsity {self.sparsity:.4f}, {self.sparse_tensors} tensors "
            "stored sparse; outputs differ from the Keras model's by at most "
            f"{self.max_difference:.1e} of the largest"
        )
        return "\n".join(lines)
