"""ZIP archives as sources: their folders and files, read member by member in memory. Nothing is unpacked to disk.

What a build needs is checked when an archive is opened, before any member is read: names that leave the archive, two
members of one name, encryption, other compressions than Deflate, and sizes that no set of images has.
"""

import errno
import re
import stat
import struct
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.folders import ARCHIVE_SUFFIX, MAX_DEPTH, Folder, is_ignored
from fastmri_cls.sources.pixels import RejectedImage

_MOST_MEMBERS = 5_000_000
_LARGEST = 1 << 30  # bytes of a member: it is read into memory whole
# Images hardly compress: in all, an archive may inflate to this many times its size, and to the spare bytes anyway.
_MOST_INFLATED, _SPARE = 100, 1 << 28
_ENCRYPTED = 0x1  # of the general purpose flags
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # LZMA and others take as much memory as a file asks for
_Folders: TypeAlias = dict[str, "_Folders"]  # name -> the folders in it
_BROKEN_MEMBER = "broken in its archive; download the archive again"
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError, NotImplementedError, LookupError,
)  # fmt: skip


class Archive:
    """An open archive.

    Args:
        path: the file.

    Attributes:
        members: path in the archive, with `/` -> its entry; without folders and the system's own files.

    Raises:
        UserError: it cannot be read, or is not accepted; see above.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error}); check the file") from None
        except _BROKEN:
            raise UserError(f"{path}: is no whole ZIP archive; download it again, or give its folder") from None
        self.members: dict[str, zipfile.ZipInfo] = {}
        entries = self._zip.infolist()
        if len(entries) > _MOST_MEMBERS:
            raise self._refusal(f"has {len(entries)} entries, more than {_MOST_MEMBERS}")
        for entry in entries:
            if entry.filename.endswith(("/", "\\")):
                continue  # a folder
            name = self._checked_name(entry)
            if any(map(is_ignored, name.split("/"))):
                continue
            self._check(entry, name)
            if name in self.members:
                raise self._refusal(f"has two files named {name}")
            self.members[name] = entry
        inflated = sum(entry.file_size for entry in self.members.values())
        if inflated > _MOST_INFLATED * path.stat().st_size + _SPARE:
            raise self._refusal(f"inflates to {inflated} bytes, more than {_MOST_INFLATED} times its size")

    def tree(self) -> Folder:
        """Return its folders and files, as `read_folder` does for a folder on disk."""
        root: _Folders = {}
        files: dict[str, list[str]] = {}
        for name in self.members:
            folder, _, file = name.rpartition("/")
            files.setdefault(folder, []).append(file)
            place = root
            for part in folder.split("/") if folder else ():
                place = place.setdefault(part, {})
        return _tree("", root, files)

    def read(self, name: str) -> bytes:
        """Return the content of a member.

        Raises:
            FileNotFoundError: there is none of that name.
            RejectedImage: it is broken.
        """
        entry = self.members.get(name)
        if entry is None:
            raise FileNotFoundError(2, "no such file in the archive")
        try:
            content = self._zip.read(entry)  # no more than the size that was checked
        except _BROKEN:
            raise RejectedImage(_BROKEN_MEMBER) from None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise RejectedImage(_BROKEN_MEMBER) from None  # it begins before the archive does
        if len(content) != entry.file_size:
            raise RejectedImage(_BROKEN_MEMBER)
        return content

    def _checked_name(self, entry: zipfile.ZipInfo) -> str:
        """Return an entry's path with `/`, as archives made on Windows may not have it."""
        name = entry.filename.replace("\\", "/")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or re.match("[A-Za-z]:/", name) or ".." in parts or not parts:
            raise self._refusal(f"has an entry {entry.filename!r}, whose name leads out of it")
        if len(parts) > MAX_DEPTH:
            raise self._refusal(f"has folders more than {MAX_DEPTH} deep")
        return "/".join(parts)

    def _check(self, entry: zipfile.ZipInfo, name: str) -> None:
        if entry.flag_bits & _ENCRYPTED:
            raise self._refusal(f"is encrypted (the first file: {name})")
        if entry.compress_type not in _METHODS:
            raise self._refusal(
                f"is compressed by method {entry.compress_type}, which is not read (first file: {name})"
            )
        if entry.file_size > _LARGEST:
            raise self._refusal(f"has a file of {entry.file_size} bytes, more than {_LARGEST} ({name})")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise self._refusal(f"has a link ({name})")

    def _refusal(self, fact: str) -> UserError:
        return UserError(f"{self._path}: {fact}; unpack it and give the folder as source")


def open_archive(path: Path) -> Archive:
    """Return the archive at `path`; one that is unchanged stays open in this process. Raises as `Archive`."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the file") from None
    return _opened(path, status.st_size, status.st_mtime_ns)


def find_in_archive(path: Path) -> tuple[Path, str] | None:
    """Return the archive that `path` leads through and the rest of it, or None for a path on disk."""
    if ARCHIVE_SUFFIX not in str(path).lower():
        return None
    for parent in path.parents:
        if parent.suffix.lower() == ARCHIVE_SUFFIX and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


@lru_cache(maxsize=4)
def _opened(path: Path, _size: int, _modified: int) -> Archive:
    return Archive(path)


def _tree(path: str, folders: _Folders, files: dict[str, list[str]]) -> Folder:
    below = (_tree(f"{path}/{name}" if path else name, folders[name], files) for name in sorted(folders))
    return Folder(path, tuple(below), tuple(sorted(files.get(path, ()))))
