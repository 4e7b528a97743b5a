"""Bytes of a file: as it is, and compressed on its way."""

import gzip
import importlib


def sizes(content):
    """Bytes of a content, after gzip, and after Zstandard where there is one.

    Args:
        content: Bytes.

    Returns:
        Three ints, the last None without Zstandard. Gzip takes its best level,
        Zstandard its default.
    """
    compress = _zstandard()
    return (
        len(content),
        len(gzip.compress(content, mtime=0)),
        compress and len(compress(content)),
    )


def _zstandard():
    """A function that compresses, of Python 3.14 or of a package; or None."""
    for module in ("compression.zstd", "zstandard"):
        try:
            return importlib.import_module(module).compress
        except ImportError:
            continue
    return None
