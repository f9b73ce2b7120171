"""Source folders -> the list of their files with class and given split. Nothing is opened here.

Two layouts: ROOT/{Training,Testing}/<class>/... and ROOT/<class>/...; folders below a class folder belong to it.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log

_SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SPLIT_OF_FOLDER = {folder: split for split, folders in _SPLITS.items() for folder in folders}
_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}  # and every name that begins with a dot

# The spellings of the public brain-tumour sets, after `_normalise`.
_BRAIN_TUMOUR_ALIASES = {
    "glioma": ("gliomas", "gliomatumor", "gliomatumour"),
    "meningioma": ("meningiomas", "meningiomatumor", "meningiomatumour"),
    "notumor": ("notumour", "notumors", "nontumor", "nontumour"),  # "normal" may be any set's class
    "pituitary": ("pituitarytumor", "pituitarytumour", "pituitaryadenoma"),
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
        names: the class names in label order, or empty: any class is accepted and labels are alphabetical.
        file: where they were read from, None for the brain-tumour classes.
    """

    aliases: dict[str, str] = field(
        default_factory=lambda: {
            alias: name for name, aliases in _BRAIN_TUMOUR_ALIASES.items() for alias in (name, *aliases)
        }
    )
    names: tuple[str, ...] = ()
    file: Path | None = None

    def canonical(self, folder: str) -> str:
        """Return the class a folder's name means: case, spaces, dashes and underscores make no difference."""
        return self.aliases.get(_normalise(folder), re.sub(r"[\s_-]+", "_", _composed(folder.strip())))

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
    return ClassNames(aliases, tuple(names), path.absolute())


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
    for place, split in _split_folders(source):
        for folder in _folders(place):
            label = classes.canonical(folder.name)
            if classes.names and label not in classes.names:
                raise UserError(
                    f"{folder}: class {label!r} is not in the --classes file; add it there or move the folder"
                )
            for path in files_below(folder):
                files.append(SourceFile(source.name, path, path.relative_to(source.path).as_posix(), split, label))
    if not files:
        raise UserError(
            f"source {source.name}: no files in class folders of {source.path}; "
            "expected Training/<class>/… and Testing/<class>/…, or <class>/…"
        )
    return sorted(files, key=lambda file: file.filename)


def is_utf8(name: str) -> bool:
    """Return whether a file name is text; Linux allows any bytes, which Python carries as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def printable(name: str) -> str:
    """Return a file name as text that can be written anywhere."""
    return name if is_utf8(name) else os.fsencode(name).decode("utf-8", "backslashreplace")


def _split_folders(source: Source) -> list[tuple[Path, str | None]]:
    """Return the folders that hold class folders, with the split their name means."""
    top = _folders(source.path)
    named: list[tuple[Path, str | None]] = [
        (path, _SPLIT_OF_FOLDER[path.name.casefold()]) for path in top if path.name.casefold() in _SPLIT_OF_FOLDER
    ]
    if named and len(named) < len(top):
        others = [path.name for path in top if path.name.casefold() not in _SPLIT_OF_FOLDER]
        log.warning(f"source {source.name}: {', '.join(others)} passed over, beside {named[0][0].name}")
    return named or [(source.path, None)]


def _children(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names are compared, not paths
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from None
    return [folder / name for name in names if not name.startswith(".") and name.casefold() not in _IGNORED]


def _folders(folder: Path) -> list[Path]:
    """Return the folders in `folder`, linked ones too unless they lead back to where we are."""
    here = folder.resolve()
    return [path for path in _children(folder) if path.is_dir() and not here.is_relative_to(path.resolve())]


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of `folder` and the folders in it; links to folders are not followed, so loops cannot hang it."""
    for path in _children(folder):
        if path.is_dir():
            if not path.is_symlink():
                yield from files_below(path)
        else:
            yield path


def _normalise(spelling: str) -> str:
    return re.sub(r"[\s_-]+", "", _composed(spelling))


def _composed(name: str) -> str:
    """One form for letters with accents (macOS takes them apart in file names), in lower case."""
    return unicodedata.normalize("NFC", name.casefold())
