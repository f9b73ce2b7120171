"""Sources and tables -> the list of their images with class, split and patient. No image is opened here."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Folder, Source, SourceFile, printable, read_folder
from fastmri_cls.sources.layout import (
    LOOPS,
    SPLITS,
    Layout,
    PlacedImage,
    images_below,
    read_layout,
)
from fastmri_cls.sources.tables import Row, Table, check_used, read_one_hot

UNLISTED = "with no label in the table"
_ONE_HOT = "_classes.csv"  # beside the images of each split, as Roboflow exports them
_SHOWN = 8  # names in a line


class PassedOver(NamedTuple):
    """Files of a source that are not read: the reason, their number and the first of them."""

    source: str
    reason: str
    files: int
    first: str


@dataclass
class Scan:
    """What sources hold.

    Attributes:
        files: the images, source by source, sorted by filename.
        passed_over: what is not read.
        layouts: a line for each source: what its folders were taken for.
        warnings: lines about tables.
        table_splits: whether a table gives the splits.
    """

    files: list[SourceFile] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    layouts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    table_splits: bool = False

    def tell(self) -> None:
        """Log what was read as what, and what was passed over."""
        for line in self.layouts:
            log.info(line)
        for source, reason, files, first in self.passed_over:
            log.warning(f"source {source}: {files} files passed over: {reason} (the first: {first})")
        for line in self.warnings:
            log.warning(line)


def scan(
    sources: Sequence[Source], classes: ClassNames, tables: Sequence[Table] = (), *, allow_unlisted: bool = False
) -> Scan:
    """Return every image of `sources` with its class, and the split and patient that folders or tables give.

    Args:
        sources: folders.
        classes: the spellings of the classes.
        tables: labels in them replace class folders; splits and patients go with either.
        allow_unlisted: accept images that a table leaves out.

    Raises:
        UserError: a source has no images, a folder cannot be read or is ambiguous, a table leaves images out.
    """
    found = Scan(table_splits=any("split" in table.columns for table in tables))
    for source in sources:
        _scan_source(source, classes, tables, found, allow_unlisted=allow_unlisted)
    found.warnings += check_used(tables)
    return found


def image_paths(source: Source, classes: ClassNames, tables: Sequence[Table]) -> list[str]:
    """Return the paths, relative to `source`, of the images that `scan` would read."""
    layout, own, has_labels = _find_images(source, classes, tables)
    rows = _rows(source, layout, own, allow_unlisted=True)
    return [image.path for image in layout.images if not has_labels or rows.get(image.path, Row()).label]


def _find_images(source: Source, classes: ClassNames, tables: Sequence[Table]) -> tuple[Layout, list[Table], bool]:
    """Return the images of a source, the tables for it, and whether they give the labels."""
    root = read_folder(source.path)
    own = [table for table in tables if table.source in (None, source.name)]
    if not any("label" in table.columns for table in own) and (one_hot := _one_hot_table(source, root)):
        own.append(one_hot)
    if any("label" in table.columns for table in own):
        return _flat_layout(root, own, source), own, True
    return read_layout(source, root, classes), own, False


def _scan_source(
    source: Source, classes: ClassNames, tables: Sequence[Table], found: Scan, *, allow_unlisted: bool
) -> None:
    layout, own, has_labels = _find_images(source, classes, tables)
    rows = _rows(source, layout, own, allow_unlisted=allow_unlisted)
    files: list[SourceFile] = []
    spellings: list[str] = []
    for image in sorted(layout.images, key=lambda image: image.path):
        row = rows.get(image.path, Row())
        spelling = row.label if has_labels else image.class_folder
        if not spelling:
            layout.pass_over(UNLISTED, [image.path])
            continue
        spellings.append(spelling)
        split = row.split or None if found.table_splits else image.split
        path, label = source.path / image.path, classes.canonical(spelling)
        files.append(SourceFile(source.name, path, image.path, split, label, row.patient, "table"))
    passed = [
        PassedOver(source.name, reason, len(paths), printable(min(paths)))
        for reason, paths in layout.passed_over.items()
    ]
    if not files:
        seen = "".join(f"; {p.files} files passed over: {p.reason} (the first: {p.first})" for p in passed)
        raise UserError(
            f"source {source.name}: no files in class folders of {source.path}{seen}; "
            "expected Training/<class>/… and Testing/<class>/…, or <class>/…, or labels in a --table"
        )
    classes.check(source.name, spellings)
    found.files += files
    found.passed_over += passed
    found.layouts.append(_layout_line(source, files, spellings, by_table=has_labels))


def _flat_layout(root: Folder, tables: Sequence[Table], source: Source) -> Layout:
    """Return all images of a source whose labels stand in a table; split folders on the way still name a split."""
    layout = Layout()
    layout.pass_over(LOOPS, root.all_loops())
    everything = list(root.below())
    finders = [_finder(table, source, everything) for table in tables]
    listed = [path for path in everything if any(finder(path) for finder in finders)]
    for path in images_below(root, layout, listed):
        split = next((SPLITS[part] for part in PurePosixPath(path.casefold()).parts[:-1] if part in SPLITS), None)
        layout.images.append(PlacedImage(path, split, ""))
    return layout


def _rows(source: Source, layout: Layout, tables: Sequence[Table], *, allow_unlisted: bool) -> dict[str, Row]:
    """Return what the tables together say of each image of a source."""
    paths = sorted(image.path for image in layout.images)
    rows: dict[str, Row] = {}
    for table in tables:
        finder = _finder(table, source, paths)
        missing = []
        for path in paths:
            row = finder(path)
            if row is None or ("label" in table.columns and not row.label):
                missing.append(path)
            if row is None:
                continue
            known = rows.get(path, Row())
            rows[path] = Row(known.label or row.label, known.patient or row.patient, known.split or row.split)
        if missing and not allow_unlisted:
            raise UserError(_leaves_out(source, table, missing, len(paths)))
    return rows


def _leaves_out(source: Source, table: Table, missing: list[str], count: int) -> str:
    if len(missing) == count:
        return (
            f"{table.name}: no row names an image of source {source.name}; "
            f"filename is relative to the source, for instance {printable(missing[0])}"
        )
    names = ", ".join(map(printable, missing[:3]))
    return (
        f"{table.name}: leaves out {len(missing)} of {count} images of source {source.name} ({names}"
        f"{', …' if len(missing) > 3 else ''}); add rows for them, give the table as NAME=FILE to the source it is "
        "for, or add --allow-unlisted"
    )


def _finder(table: Table, source: Source, paths: Iterable[str]) -> Callable[[str], Row | None]:
    """Return a function path -> row: by the whole path, or by the bare name where the table gives no folders."""
    names = Counter(PurePosixPath(path).name for path in paths)

    def find(path: str) -> Row | None:
        row = table.find(source.name, path)
        name = PurePosixPath(path).name
        return row if row or not table.is_flat or names[name] > 1 else table.find(source.name, name)

    return find


def _one_hot_table(source: Source, root: Folder) -> Table | None:
    """Return what the `_classes.csv` of a source and of its split folders say, as one table."""
    rows: dict[tuple[str, str], Row] = {}
    paths = []
    for folder in (root, *(f for f in root.folders if f.name.casefold() in SPLITS)):
        for name in folder.files:
            if name.casefold() == _ONE_HOT:
                paths.append(source.path / folder.join(name))
                content = paths[-1].read_bytes()
                labels = read_one_hot(str(paths[-1]), content)
                rows |= {(source.name, folder.join(filename)): Row(label) for filename, label in labels.items()}
    return Table(str(paths[0]), "", source.name, frozenset({"label"}), rows) if paths else None


def _layout_line(source: Source, files: list[SourceFile], spellings: list[str], *, by_table: bool) -> str:
    """Return what the folders of a source were taken for."""
    pairs = sorted(dict(zip(spellings, (file.label for file in files), strict=True)).items())
    names = [label if spelling == label else f"{spelling} -> {label}" for spelling, label in pairs]
    classes = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    splits = Counter(file.split or "none" for file in files)
    counted = ", ".join(f"{split} {count}" for split, count in splits.items())
    origin = "labels from the table" if by_table else "classes from folders"
    return f"source {source.name}: {len(files)} images, {origin}: {classes}; split: {counted}"
