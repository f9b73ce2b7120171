"""Source folders -> the list of their files with class and given split. Nothing is opened here.

Two layouts: ROOT/{Training,Testing}/<class>/... and ROOT/<class>/...; folders below a class folder belong to it.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fastmri_cls.foundation.errors import UserError

_SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SPLIT_OF_FOLDER = {folder: split for split, folders in _SPLITS.items() for folder in folders}
_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}  # and every name that begins with a dot

# The spellings of the public brain-tumour sets, after `_normalise`.
_BRAIN_TUMOUR_ALIASES = {
    "glioma": ("glioma_tumor", "glioma_tumour"),
    "meningioma": ("meningioma_tumor", "meningioma_tumour"),
    "notumor": ("no_tumor", "no_tumour", "notumour", "non_tumor", "healthy", "normal"),
    "pituitary": ("pituitary_tumor", "pituitary_tumour", "pituitary_adenoma"),
}


@dataclass(frozen=True)
class Source:
    """A named folder of images; the name becomes part of file names."""

    name: str
    path: Path


@dataclass(frozen=True)
class SourceFile:
    """One file of a source: `filename` is its path relative to the source, `split` None where no folder names one."""

    source: str
    path: Path
    filename: str
    split: str | None
    label: str


@dataclass(frozen=True)
class ClassNames:
    """Maps the spellings of class folders to class names.

    Fields:
        aliases: normalised spelling -> class name.
        order: the class names in label order, or empty: any class is accepted and labels are alphabetical.
    """

    aliases: dict[str, str] = field(
        default_factory=lambda: {alias: name for name, aliases in _BRAIN_TUMOUR_ALIASES.items() for alias in aliases}
    )
    names: tuple[str, ...] = ()

    def canonical(self, folder: str) -> str:
        """Return the class a folder's name means: case, spaces, dashes and underscores make no difference."""
        spelling = _normalise(folder)
        return self.aliases.get(spelling, spelling)

    def order(self, found: Iterable[str]) -> list[str]:
        """Return the class names in label order."""
        return list(self.names) if self.names else sorted(set(found))


def read_classes(path: Path) -> ClassNames:
    """Read a file of classes, one a line in label order: `name` or `name: alias, another alias`; `#` begins a comment.

    Raises:
        UserError: the file cannot be read, is empty, or gives a spelling to two classes.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--classes {path}: cannot be read ({error})") from None
    aliases: dict[str, str] = {}
    names: list[str] = []
    for line in (line.split("#")[0].strip() for line in lines):
        if not line:
            continue
        name, _, others = line.partition(":")
        names.append(name.strip())
        for spelling in (name, *others.split(",")):
            if spelling.strip() and aliases.setdefault(_normalise(spelling), names[-1]) != names[-1]:
                raise UserError(f"--classes {path}: {spelling.strip()!r} stands for two classes; keep one of them")
    if len(names) < 2:
        raise UserError(f"--classes {path}: names {len(names)} classes; a classifier needs at least two")
    return ClassNames(aliases, tuple(names))


def parse_sources(arguments: list[str]) -> list[Source]:
    """Parse `[NAME=]PATH` arguments; a name defaults to the folder's.

    Raises:
        UserError: a folder is missing, a name has characters unfit for a file name, or two sources share one.
    """
    sources: list[Source] = []
    for argument in arguments:
        name, separator, path = argument.partition("=")
        folder = Path(path if separator else argument).expanduser().absolute()
        name = name if separator else re.sub(r"[^A-Za-z0-9_-]+", "-", folder.name).strip("-") or "source"
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise UserError(f"source {argument}: the name {name!r} may hold letters, digits, - and _ only")
        if not folder.is_dir():
            raise UserError(f"source {argument}: {folder} is no folder; give [NAME=]FOLDER")
        if name.casefold() in (source.name.casefold() for source in sources):
            raise UserError(
                f"source {argument}: another source is named {name} too; give NAME=FOLDER with another name"
            )
        sources.append(Source(name, folder))
    return sources


def scan(source: Source, classes: ClassNames) -> list[SourceFile]:
    """Return every file in a class folder of `source`, sorted by filename; files of the system are passed over.

    Raises:
        UserError: there is no class folder, a folder cannot be read, or --classes does not know one.
    """
    files: list[SourceFile] = []
    top = [path for path in _children(source.path) if path.is_dir()]
    split_folders = [path for path in top if path.name.casefold() in _SPLIT_OF_FOLDER]
    places = [(path, _SPLIT_OF_FOLDER[path.name.casefold()]) for path in split_folders] or [(source.path, None)]
    for place, split in places:
        for folder in (path for path in _children(place) if path.is_dir()):
            label = classes.canonical(folder.name)
            if classes.names and label not in classes.names:
                raise UserError(
                    f"{folder}: class {label!r} is not in the --classes file; add it there or move the folder"
                )
            for path in _files_below(folder):
                files.append(SourceFile(source.name, path, path.relative_to(source.path).as_posix(), split, label))
    if not files:
        raise UserError(
            f"source {source.name}: no files in class folders of {source.path}; "
            "expected Training/<class>/… and Testing/<class>/…, or <class>/…"
        )
    return sorted(files, key=lambda file: file.filename)


def _children(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names are compared, not paths
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from None
    return [folder / name for name in names if not name.startswith(".") and name.casefold() not in _IGNORED]


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of `folder` and the folders in it; links to folders are not followed, so loops cannot hang it."""
    for path in _children(folder):
        if path.is_dir():
            if not path.is_symlink():
                yield from _files_below(path)
        else:
            yield path


def _normalise(spelling: str) -> str:
    return re.sub(r"[\s_-]+", "_", spelling.strip().casefold())
