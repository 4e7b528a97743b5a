"""The files of a folder or of a zip archive: read where they are."""

import contextlib
import zipfile
from pathlib import PurePosixPath

# Much more than any text or image of a data set of small images; what says it
# is larger, once unpacked, is there to fill the memory.
LARGEST_BYTES = 2**24


@contextlib.contextmanager
def file_tree(path):
    """Opens a folder or a zip archive.

    Args:
        path: A `pathlib.Path` of a folder, or of an archive.

    Yields:
        A `FileTree`.

    Raises:
        ValueError: If the archive is damaged, or has a path that leads out.
    """
    if path.is_dir():
        files = {
            file.relative_to(path).as_posix(): file
            for file in path.rglob("*")
            if file.is_file()
        }
        yield FileTree(path, files, lambda file: file.read_bytes())
        return
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # Damage may raise anything.
        raise ValueError(
            f"{path} must be a folder or an undamaged zip archive. Reading "
            f"it: {error}"
        ) from error
    with archive:
        members = [m for m in archive.infolist() if not m.is_dir()]
        for member in members:
            _check_member(path, member)
        yield FileTree(path, {m.filename: m for m in members}, archive.read)


class FileTree:
    """Files by name: a path relative to the tree's root, with `/` in it.

    Args:
        path: Where the tree is, for errors.
        files: Dict of name to what `read` takes.
        read: Function that returns the bytes of a file.
    """

    def __init__(self, path, files, read):
        self.path = path
        self.names = list(files)
        self._files = files
        self._read = read

    def __contains__(self, name):
        return name in self._files

    def read(self, name):
        """The bytes of a file; an error names it.

        Raises:
            ValueError: If it cannot be read whole.
        """
        try:
            return self._read(self._files[name])
        except Exception as error:  # Damage may raise anything.
            raise ValueError(
                f"{name} in {self.path} must be an undamaged file. Reading "
                f"it: {error}"
            ) from error

    def read_lines(self, name):
        """The lines of a text file that are not empty."""
        lines = self.read(name).decode("utf-8", "replace").splitlines()
        return [line for line in lines if line.strip()]


def _check_member(path, member):
    name = PurePosixPath(member.filename)
    if name.is_absolute() or ".." in name.parts or "\\" in member.filename:
        raise ValueError(
            f"Files in {path} must lie inside it, or the archive is not to be "
            f"trusted. Received: {member.filename!r}"
        )
    if member.file_size > LARGEST_BYTES:
        raise ValueError(
            f"Files in {path} must have at most {LARGEST_BYTES} bytes, or they "
            f"are not small images. Received: {member.filename!r} of "
            f"{member.file_size} bytes"
        )
