"""What an export wrote and measured."""

import dataclasses
import pathlib
import textwrap
from html import escape

from keras_snn.export.stored import StoredTensor
from keras_snn.shown import elided

WIDTH = 100
SMALL = 0.01  # Of a file's bytes: tensors below are shown as one row.


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What an export wrote and measured; print it for a table.

    Attributes:
        path: The file, a `pathlib.Path`.
        quantize: None, `"float16"`, `"dynamic"` or `"int8"`.
        size: The file's size in bytes.
        gzip_size: Its size in bytes after gzip.
        zstd_size: Its size in bytes after Zstandard; None where neither
            `compression.zstd` (Python 3.14) nor `zstandard` is installed.
        dense_size: Bytes of the same model converted without sparse encoding
            or quantization; None if not asked for, or of ONNX.
        dense_gzip_size: That file's bytes after gzip, or None.
        dense_zstd_size: That file's bytes after Zstandard, or None.
        sparsity: Fraction of zeros in the model's kernels, in [0, 1].
        tensors: Tuple of what the file stores, largest first: each has a
            `name`, `shape`, `dtype`, `is_sparse`, `sparsity`, `bytes` and
            `bound`.
        runtime: Text: what the runtime makes of the zeros.
        max_difference: Largest difference between an output of the file and
            the Keras model's, as a fraction of that output's largest absolute
            value.
        runs: How often each file was run to measure latency, on one thread.
        rows: Rows of the batch that was run.
        latency: Seconds that the runtime takes for that batch, the median of
            those runs; None if not measured.
        dense_latency: The dense file's, or None.
    """

    path: pathlib.Path
    quantize: str | None
    size: int
    gzip_size: int
    zstd_size: int | None
    dense_size: int | None
    dense_gzip_size: int | None
    dense_zstd_size: int | None
    sparsity: float
    tensors: tuple[StoredTensor, ...]
    runtime: str
    max_difference: float
    runs: int
    rows: int
    latency: float | None
    dense_latency: float | None

    @property
    def sparse_tensors(self):
        """How many tensors the file stores sparse."""
        return sum(tensor.is_sparse for tensor in self.tensors)

    @property
    def bound(self):
        """Bytes that all nonzeros and the entropy of their masks take.

        What a file needs that knows of each tensor no more than how many
        values are not zero. Compression may go below where values or masks
        have an order, such as the few levels of int8, or a pattern.
        """
        return sum(tensor.bound for tensor in self.tensors)

    def __repr__(self):
        return f"<ExportReport of {str(self.path)!r}: {self.size:,} bytes>"

    def __str__(self):
        import rich.box
        import rich.console
        import rich.table
        import rich.text

        console = rich.console.Console(width=WIDTH, highlight=False)
        shown = []
        for columns, rows in (self._files(), self._tensors()):
            table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
            for number, column in enumerate(columns):
                table.add_column(column, justify="right" if number else "left")
            for name, *others in rows:
                table.add_row(rich.text.Text(name), *others)
            with console.capture() as capture:
                console.print(table)
            shown += [line.rstrip() for line in capture.get().splitlines()]
        return "\n".join([str(self.path), *shown, *self._lines()])

    def _repr_html_(self):
        def row(cells, tag):
            inside = "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells)
            return f"<tr>{inside}</tr>"

        tables = "".join(
            f"<table><thead>{row(columns, 'th')}</thead>"
            f"<tbody>{''.join(row(cells, 'td') for cells in rows)}</tbody>"
            "</table>"
            for columns, rows in (self._files(), self._tensors())
        )
        lines = "<br>".join(map(escape, self._lines()))
        return f"<p>{escape(str(self.path))}</p>{tables}<p>{lines}</p>"

    def _files(self):
        """The file, the dense one, the bound: columns and rows."""
        kind = self.quantize or ("sparse" if self.sparse_tensors else "float32")
        if self.quantize and self.sparse_tensors:
            kind += ", sparse"
        written = [
            ("bytes", self.size, self.dense_size),
            ("gzip", self.gzip_size, self.dense_gzip_size),
            ("zstd", self.zstd_size, self.dense_zstd_size),
        ]
        known = [(name, *sizes) for name, *sizes in written if sizes[0]]
        rows = [[kind, *(f"{size:,}" for _, size, _ in known)]]
        if self.dense_size:
            rows.append(["dense", *(f"{dense:,}" for *_, dense in known)])
            parts = [f"{size / dense:.1%}" for _, size, dense in known]
            rows.append([f"{kind} / dense", *parts])
        rows.append(["bound", *[f"{self.bound:,}"] * len(known)])
        over = [f"{size / max(self.bound, 1):.2f}" for _, size, _ in known]
        rows.append([f"{kind} / bound", *over])
        columns = ["File", *(name for name, *_ in known)]
        if self.latency is None:
            return columns, rows
        times = [f"{1e3 * self.latency:.3g} ms"]
        if self.dense_latency is not None:
            times.append(f"{1e3 * self.dense_latency:.3g} ms")
            times.append(f"{self.latency / self.dense_latency:.1%}")
        times += [""] * (len(rows) - len(times))
        rows = [[*row, time] for row, time in zip(rows, times, strict=True)]
        return [*columns, "latency"], rows

    def _tensors(self):
        """A row for each large tensor, and one for what is left."""
        least = SMALL * sum(tensor.bytes for tensor in self.tensors)
        large = [t for t in self.tensors if t.bytes >= least]
        small = [t for t in self.tensors if t.bytes < least]
        rows = [
            [
                elided(tensor.name, 28),
                str(tensor.shape),
                tensor.dtype,
                "sparse" if tensor.is_sparse else "dense",
                f"{tensor.sparsity:.4f}",
                f"{tensor.bytes:,}",
                f"{tensor.bound:,}",
            ]
            for tensor in large
        ]
        if small:
            taken = sum(tensor.bytes for tensor in small)
            bound = sum(tensor.bound for tensor in small)
            rows.append(
                [f"{len(small)} smaller", *[""] * 4, f"{taken:,}", f"{bound:,}"]
            )
        columns = "Tensor Shape Type Stored Sparsity Bytes Bound".split()
        return columns, rows

    def _lines(self):
        lines = [
            f"Sparsity {self.sparsity:.4f}, {self.sparse_tensors} tensors "
            "stored sparse.",
            *textwrap.wrap(self.runtime, WIDTH),
            "Outputs differ from the Keras model's by at most "
            f"{self.max_difference:.1e} of the largest.",
            "Bound: bytes of the nonzeros, and the entropy of their masks.",
        ]
        if self.latency is not None:
            lines.append(
                f"Latency: median of {self.runs} runs of {self.rows} "
                f"row{'s' * (self.rows > 1)}, on one thread of this machine."
            )
        return lines
