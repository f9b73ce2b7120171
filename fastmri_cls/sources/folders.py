"""Sources and the tree of their folders, as it lies on disk. What the folders mean is decided in `layout`."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from fastmri_cls.foundation.errors import UserError

_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}  # and every name that begins with a dot
ARCHIVE_SUFFIX = ".zip"
MAX_DEPTH = 100  # folders inside each other; real sets stay below ten

# Names of test sets that metrics.json makes of several sources, and of the leak-free part of one.
_RESERVED = ("pooled", "mean")
_CLEAN = "-clean"


@dataclass(frozen=True)
class Source:
    """A named folder or ZIP archive of images; the name becomes part of file names."""

    name: str
    path: Path


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    Attributes:
        source: the source's name.
        path: where the file lies; see `storage` for one in an archive.
        filename: its path relative to the source, with `/`.
        split: the split that its folder or a table names; None without one.
        label: its class; empty where the file itself should name it and cannot be read.
        patient: the id a table or the source gives, empty without one. It is never printed or written.
        patient_origin: where that id comes from, to be named in sentences.
        fold: the number of its fold in published cross-validation, from 0; None without one.
        volume: for a slice, the `filename` of the volume it is from; else empty.
    """

    source: str
    path: Path
    filename: str
    split: str | None
    label: str
    patient: str = field(default="", repr=False)
    patient_origin: str = ""
    fold: int | None = None
    volume: str = ""

    def slice(self, name: str) -> "SourceFile":
        """Return one slice of a volume."""
        return replace(self, path=self.path / name, filename=f"{self.filename}/{name}", volume=self.filename)

    def whole(self) -> "SourceFile":
        """Return the volume that a slice is from; any other file itself."""
        return replace(self, path=self.path.parent, filename=self.volume, volume="") if self.volume else self


@dataclass(frozen=True)
class Folder:
    """A folder of a source and everything below it, names sorted.

    Attributes:
        path: relative to the source, with `/`; empty for the source itself.
        loops: links to a folder above, which are not followed.
    """

    path: str
    folders: tuple["Folder", ...]
    files: tuple[str, ...]
    loops: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of `path`."""
        return self.path.rpartition("/")[2]

    def join(self, name: str) -> str:
        """Return the path of a file or folder in it, relative to the source."""
        return f"{self.path}/{name}" if self.path else name

    def below(self) -> Iterator[str]:
        """Yield the paths of all files in it and below, relative to the source."""
        yield from map(self.join, self.files)
        for folder in self.folders:
            yield from folder.below()

    def all_loops(self) -> Iterator[str]:
        """Yield the paths of the links in it and below that lead back."""
        yield from map(self.join, self.loops)
        for folder in self.folders:
            yield from folder.all_loops()


def parse_sources(arguments: list[str]) -> list[Source]:
    """Parse `[NAME=]PATH` arguments; a name defaults to the folder's or archive's.

    Raises:
        UserError: a source is empty or does not exist, a name has characters unfit for a file name or the name of a set
            of several sources, or two sources share one.
    """
    sources: list[Source] = []
    for argument in arguments:
        name, separator, _ = argument.partition("=")
        folder = source_path(argument)
        own_name = folder.stem if is_archive(folder) else folder.name
        name = name if separator else re.sub(r"[^A-Za-z0-9_-]+", "-", own_name).strip("-") or "source"
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise UserError(
                f"source {argument}: the name {name!r} may hold letters, digits, - and _ only; give NAME=SOURCE, also "
                "for a path that holds ="
            )
        if name in _RESERVED or name.endswith(_CLEAN):
            raise UserError(f"source {argument}: results have a test set {name} of their own; give another NAME=FOLDER")
        if not folder.is_dir() and not is_archive(folder):
            raise UserError(f"source {argument}: {folder} is no folder and no .zip archive; give [NAME=]SOURCE")
        if name.casefold() in (source.name.casefold() for source in sources):
            raise UserError(
                f"source {argument}: another source is named {name} too; give NAME=FOLDER with another name"
            )
        sources.append(Source(name, folder))
    return sources


def source_path(argument: str) -> Path:
    """Return the path of a `[NAME=]PATH` argument.

    Raises:
        UserError: it is empty, as `mri=$DATA` is without the variable; Python would take the current folder.
    """
    name, separator, path = argument.partition("=")
    if not (path if separator else name):
        raise UserError(f"source {argument!r}: names no folder; give [NAME=]SOURCE")
    return Path(path if separator else name).expanduser().absolute()


def read_folder(root: Path) -> Folder:
    """Return the tree of `root`. Links to folders are followed, except those that lead back to a folder above.

    Raises:
        UserError: a folder cannot be read, or folders nest too deep.
    """
    return _read(root, "", (root.resolve(),))


def _read(place: Path, path: str, above: tuple[Path, ...]) -> Folder:
    if len(above) > MAX_DEPTH:
        raise UserError(f"{place}: lies more than {MAX_DEPTH} folders deep; give a folder further down as the source")
    try:
        names = sorted(os.listdir(place))  # noqa: PTH208 - names are compared, not paths
    except OSError as error:
        raise UserError(f"{place}: cannot be read ({error.strerror}); check its permissions") from None
    folders, files, loops = [], [], []
    for name in names:
        if is_ignored(name):
            continue
        child = place / name
        if not child.is_dir():
            files.append(name)
            continue
        real = child.resolve()
        if any(folder.is_relative_to(real) for folder in above):
            loops.append(name)
        else:
            folders.append(_read(child, f"{path}/{name}" if path else name, (*above, real)))
    return Folder(path, tuple(folders), tuple(files), tuple(loops))


def is_archive(path: Path) -> bool:
    """Return whether `path` is a ZIP archive, which stands for the folder that was packed."""
    return path.suffix.lower() == ARCHIVE_SUFFIX and path.is_file()


def is_ignored(name: str) -> bool:
    """Return whether a name is one of the system's own files, as .DS_Store and Thumbs.db."""
    return name.startswith(".") or name.casefold() in _IGNORED


def is_utf8(name: str) -> bool:
    """Return whether a file name is text; Linux allows any bytes, which Python carries as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def printable(name: str) -> str:
    """Return a file name as text that can be written anywhere."""
    return name if is_utf8(name) else os.fsencode(name).decode("utf-8", "backslashreplace")
