"""Sources and tables -> the list of their images with class, split and patient. No image is opened here."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import NamedTuple

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log, track
from fastmri_cls.sources import figshare
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Folder, Source, SourceFile, printable
from fastmri_cls.sources.layout import (
    FOLDS,
    LOOPS,
    SPLITS,
    Layout,
    PlacedImage,
    images_below,
    is_no_image,
    read_layout,
)
from fastmri_cls.sources.pixels import RejectedImage
from fastmri_cls.sources.storage import open_file, read_tree
from fastmri_cls.sources.table_rows import join_rows, one_hot_table, row_finder
from fastmri_cls.sources.tables import Row, Table, check_used

UNLISTED = "with no label in the table"
_SHOWN = 8  # names in a line
_BY_FOLDER, _BY_TABLE, _BY_FILE = "classes from folders", "labels from the table", "labels from the .mat files"


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
        sources: folders or ZIP archives.
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
    layout, own, origin = _find_images(source, classes, tables)
    rows = join_rows(source, [image.path for image in layout.images], own, allow_unlisted=True)
    return [image.path for image in layout.images if origin != _BY_TABLE or rows.get(image.path, Row()).label]


def _find_images(source: Source, classes: ClassNames, tables: Sequence[Table]) -> tuple[Layout, list[Table], str]:
    """Return the images of a source, the tables for it, and where the labels are from."""
    root = read_tree(source.path)
    own = [table for table in tables if table.source in (None, source.name)]
    if not any("label" in table.columns for table in own) and (one_hot := one_hot_table(source, root)):
        own.append(one_hot)
    if any("label" in table.columns for table in own):
        return _flat_layout(root, own, source), own, _BY_TABLE
    if _holds_slices(root):
        return _read_slices(source, _flat_layout(root, own, source)), own, _BY_FILE
    return read_layout(source, root, classes), own, _BY_FOLDER


def _holds_slices(root: Folder) -> bool:
    """Return whether all images of a source are figshare's .mat files."""
    images = [path for path in root.below() if not is_no_image(path)]
    return any(map(figshare.is_slice, images)) and all(path.lower().endswith(figshare.SUFFIX) for path in images)


def _read_slices(source: Source, layout: Layout) -> Layout:
    """Return `layout` with the class that each .mat file names, none for a file that cannot be read, and its fold."""
    folds = _published_folds(source, layout)
    images = []
    for image in track(layout.images, f"reading labels of {source.name}", len(layout.images)):
        fold = folds.get(PurePosixPath(image.path).stem)
        try:
            with open_file(source.path / image.path) as file:
                images.append(replace(image, class_name=figshare.read_label(file), fold=fold))
        except (RejectedImage, OSError):
            images.append(image)  # reading its pixels will give the reason
    return Layout(images, layout.passed_over)


def _published_folds(source: Source, layout: Layout) -> dict[str, int]:
    """Return the fold of each slice by its name, empty without a file of folds for all of them."""
    files = layout.passed_over.get(FOLDS, [])
    try:
        with open_file(source.path / files[0]) as file:
            folds = figshare.read_folds(file)
    except (RejectedImage, OSError, IndexError):
        return {}
    if len(files) > 1 or not all(PurePosixPath(image.path).stem in folds for image in layout.images):
        return {}
    del layout.passed_over[FOLDS]
    return folds


def _scan_source(
    source: Source, classes: ClassNames, tables: Sequence[Table], found: Scan, *, allow_unlisted: bool
) -> None:
    layout, own, origin = _find_images(source, classes, tables)
    rows = join_rows(source, [image.path for image in layout.images], own, allow_unlisted=allow_unlisted)
    files: list[SourceFile] = []
    spellings: dict[str, str] = {}
    for image in sorted(layout.images, key=lambda image: image.path):
        row = rows.get(image.path, Row())
        spelling = row.label if origin == _BY_TABLE else image.class_name
        if not spelling and origin == _BY_TABLE:
            layout.pass_over(UNLISTED, [image.path])
            continue
        label = classes.canonical(spelling) if spelling else ""
        if spelling:
            spellings[spelling] = label
        split = row.split or None if found.table_splits else image.split
        path = source.path / image.path
        files.append(SourceFile(source.name, path, image.path, split, label, row.patient, "table", fold=image.fold))
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
    found.layouts.append(_layout_line(source, files, spellings, origin))


def _flat_layout(root: Folder, tables: Sequence[Table], source: Source) -> Layout:
    """Return all images of a source whose labels stand in a table; split folders on the way still name a split."""
    layout = Layout()
    layout.pass_over(LOOPS, root.all_loops())
    everything = list(root.below())
    finders = [row_finder(table, source, everything) for table in tables]
    listed = [path for path in everything if any(finder(path) for finder in finders)]
    for path in images_below(root, layout, listed):
        split = next((SPLITS[part] for part in PurePosixPath(path.casefold()).parts[:-1] if part in SPLITS), None)
        layout.images.append(PlacedImage(path, split, ""))
    return layout


def _layout_line(source: Source, files: list[SourceFile], spellings: dict[str, str], origin: str) -> str:
    """Return what the folders of a source were taken for."""
    names = [label if spelling == label else f"{spelling} -> {label}" for spelling, label in sorted(spellings.items())]
    classes = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    splits = Counter(file.split or "none" for file in files)
    counted = ", ".join(f"{split} {count}" for split, count in splits.items())
    folds = {file.fold for file in files} - {None}
    published = f"; {len(folds)} published folds" if folds else ""
    return f"source {source.name}: {len(files)} images, {origin}: {classes}; split: {counted}{published}"
