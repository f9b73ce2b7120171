"""What tells, without reading it, that a source file is still the one a dataset was built from."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileStamp:
    """A file's bytes and time of change (nanoseconds)."""

    bytes: int
    modified: int


def stamp(path: Path) -> FileStamp:
    """Return the stamp of a file."""
    status = path.stat()
    return FileStamp(status.st_size, status.st_mtime_ns)
