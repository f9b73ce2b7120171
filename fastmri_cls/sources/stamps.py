"""Whether a source file is still the one a dataset was built from."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileStamp:
    """A file's bytes, time of change (nanoseconds) and the sha256 of its content, in hex."""

    bytes: int
    modified: int
    sha256: str


def stamp(path: Path) -> FileStamp:
    """Return the stamp of a file."""
    status = path.stat()
    return FileStamp(status.st_size, status.st_mtime_ns, file_sha256(path))


def is_unchanged(path: Path, known: FileStamp) -> bool:
    """Return whether `path` still has the content of `known`; it is read only where its size is right but not its time.

    A copy of the sources has other times and is no less fresh.
    """
    status = path.stat()
    if status.st_size != known.bytes:
        return False
    return status.st_mtime_ns == known.modified or file_sha256(path) == known.sha256


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
