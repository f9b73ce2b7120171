"""Files of a source, on disk or in a ZIP archive: a path may lead through one, as `set.zip/glioma/1.jpg`."""

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fastmri_cls.sources.archives import find_in_archive, open_archive
from fastmri_cls.sources.folders import Folder, is_archive, read_folder
from fastmri_cls.sources.pixels import RejectedImage


@dataclass(frozen=True)
class FileStamp:
    """A file's bytes and time of change (nanoseconds), in an archive that of the archive.

    They tell, without reading it, that a file is still the one a dataset was built from.
    """

    bytes: int
    modified: int


def read_tree(root: Path) -> Folder:
    """Return the folders and files of a source.

    Raises:
        UserError: a folder cannot be read, folders nest too deep, or an archive is not accepted.
    """
    return open_archive(root).tree() if is_archive(root) else read_folder(root)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder or archive and of the folders in it, see `read_tree`."""
    return (folder / path for path in read_tree(folder).below())


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading.

    Raises:
        OSError: there is none, or it cannot be read.
        RejectedImage: it is no regular file, or broken in its archive.
        UserError: its archive is not accepted.
    """
    place = find_in_archive(path)
    if place is not None:
        archive, name = place
        yield io.BytesIO(open_archive(archive).read(name))
        return
    if not stat.S_ISREG(path.stat().st_mode):
        raise RejectedImage("no regular file")  # opening a pipe would wait for its writer
    with path.open("rb") as file:
        yield file


def is_file(path: Path) -> bool:
    """Return whether there is a file at `path`."""
    place = find_in_archive(path)
    return path.is_file() if place is None else place[1] in open_archive(place[0]).members


def stamp(path: Path) -> FileStamp:
    """Return the stamp of a file; raises OSError if there is none."""
    place = find_in_archive(path)
    if place is None:
        status = path.stat()
        return FileStamp(status.st_size, status.st_mtime_ns)
    archive, name = place
    entry = open_archive(archive).members.get(name)
    if entry is None:
        raise FileNotFoundError(2, "no such file in the archive")
    return FileStamp(entry.file_size, archive.stat().st_mtime_ns)
