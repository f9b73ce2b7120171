"""Compares a dataset folder with its dataset.json, byte by byte and record by record, and sources with images.csv."""

import shlex
from collections import Counter
from itertools import chain
from pathlib import Path

from fastmri_cls.duplicates.hashing import fingerprint
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log, track
from fastmri_cls.records import split_names
from fastmri_cls.records.example import Example, decode_pixels, parse
from fastmri_cls.records.images_csv import FILE_NAME, ImageRow, read_images_csv
from fastmri_cls.records.manifest import CURE, Manifest, Split, shard_problem
from fastmri_cls.records.tfrecord import read_records
from fastmri_cls.sources.classes import ClassNames, read_classes
from fastmri_cls.sources.folders import Source, printable
from fastmri_cls.sources.images import read_images
from fastmri_cls.sources.nifti import file_of
from fastmri_cls.sources.pixels import RejectedImage
from fastmri_cls.sources.scan import image_paths
from fastmri_cls.sources.storage import is_file, stamp
from fastmri_cls.sources.tables import Table, read_tables


def find_problems(directory: Path, manifest: Manifest) -> list[str]:
    """Compare every shard, record and label with dataset.json and images.csv, and the sources with images.csv.

    Returns:
        One line per problem; none for a sound dataset whose sources have not changed.
    """
    problems: list[str] = []
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    for shard in track(shards, "verifying shards", len(shards)):
        problem = shard_problem(directory, shard)
        problems += [f"{problem}; {CURE}"] if problem else []
    known = {shard.name for shard in shards}
    problems += [
        f"{path.name}: is no shard of dataset.json; remove it"
        for path in sorted(directory.glob("*.tfrecord"))
        if path.name not in known
    ]
    try:
        rows = read_images_csv(directory)
    except UserError as error:
        return [*problems, str(error)]
    if not problems:  # damaged shards cannot be read
        for name, split in track(manifest.splits.items(), "reading splits", len(manifest.splits)):
            problems += _split_problems(directory, name, split, manifest, _of_split(rows, name))
    given = _classes_and_tables(manifest)
    for source in manifest.sources:
        of_source = [row for row in rows if row.source == source["name"]]
        rejected = {r["path"].removeprefix(f"{source['name']}/") for r in manifest.rejected}
        keep_colour = manifest.channels == 3
        here = Source(source["name"], Path(source["path"]))
        problems += _source_problems(here, of_source, rejected, given, keep_colour)
    return problems


def _classes_and_tables(manifest: Manifest) -> tuple[ClassNames, list[Table]] | None:
    """Return the classes and tables that the dataset was built with; None if one of their files is not here."""
    sources = [Source(source["name"], Path(source["path"])) for source in manifest.sources]
    words = shlex.split(str(manifest.options.get("command", "")))
    try:
        classes = read_classes(Path(words[words.index("--classes") + 1])) if "--classes" in words else ClassNames()
        return classes, read_tables(manifest.options.get("metadata", {}).get("table", ()), sources)
    except UserError as error:
        log.warning(f"{error}; so whether sources have new images stays unknown")
        return None


def _of_split(rows: list[ImageRow], name: str) -> list[ImageRow]:
    source = split_names.source_of(name)
    return [row for row in rows if row.split == split_names.kind_of(name) and source in (None, row.source)]


def _split_problems(directory: Path, name: str, split: Split, manifest: Manifest, rows: list[ImageRow]) -> list[str]:
    """Read a split and compare its counts, labels and images with dataset.json and images.csv."""
    per_class: Counter[str] = Counter()
    per_source: Counter[str] = Counter()
    images: Counter[tuple[str, str, str, int, str]] = Counter()
    has_other_form = has_other_label = False
    form = (manifest.image_size, manifest.channels, manifest.encoding)
    classes = dict(zip(manifest.classes, range(len(manifest.classes)), strict=True))
    try:
        for serialized in chain.from_iterable(read_records(directory / shard.name) for shard in split.shards):
            record = parse(serialized)
            per_class[record.class_name] += 1
            per_source[record.source] += 1
            images[record.source, record.filename, record.class_name, record.group, record.sha256] += 1
            has_other_form |= (record.size, record.channels, record.format) != form or not _has_form(record, form)
            has_other_label |= classes.get(record.class_name) != record.label
    except ValueError as error:
        return [f"{name}: a record does not parse ({' '.join(str(error).split())[:120]}); {CURE}"]
    problems = []
    if has_other_form:
        problems.append(f"{name}: images of another size, channels or encoding than dataset.json says; {CURE}")
    if has_other_label:
        problems.append(f"{name}: a label's number and its text disagree with the classes of dataset.json; {CURE}")
    for what, counted, said in (("class", per_class, split.per_class), ("source", per_source, split.per_source)):
        if counted != Counter(said):
            problems.append(f"{name}: images by {what} are {dict(counted)}, dataset.json says {said}; {CURE}")
    listed = Counter((row.source, row.filename, row.class_name, row.group, row.sha256) for row in rows)
    differing = (images - listed) + (listed - images)
    if differing:
        first = min(differing)
        problems.append(f"{name}: shards and {FILE_NAME} differ, first in {first[0]}/{first[1]}; {CURE}")
    return problems


def _has_form(record: Example, form: tuple[int, int, str]) -> bool:
    """Return whether the stored image is as large as its record says; raises ValueError if it is no image."""
    size, channels, encoding = form
    pixels = decode_pixels(record.encoded, encoding)
    return pixels.shape == (size, size, channels) or (encoding == "raw" and pixels.size == size * size * channels)


def _source_problems(
    source: Source,
    rows: list[ImageRow],
    rejected: set[str],
    given: tuple[ClassNames, list[Table]] | None,
    keep_colour: bool,
) -> list[str]:
    """Compare the files of a source with those in images.csv; one line for each kind of difference."""
    if not source.path.exists():
        log.warning(f"source {source.name}: {source.path} is not here, so whether the dataset is stale stays unknown")
        return []
    by_file: dict[str, list[ImageRow]] = {}
    for row in rows:
        by_file.setdefault(file_of(row.filename), []).append(row)
    try:
        found = image_paths(source, *given) if given else []
        gone = {name: None for name in by_file if not is_file(source.path / name)}
        changed = [
            name
            for name, images in track(by_file.items(), f"comparing {source.name}", len(by_file))
            if name not in gone and not _is_unchanged(source.path / name, images, keep_colour)
        ]
    except UserError as error:
        return [str(error)]
    new = [name for path in found if (name := printable(path)) not in by_file.keys() | rejected]
    return [
        f"source {source.name}: {len(names)} files {what} since the build (the first: {names[0]}); {CURE}"
        for what, names in (("are gone", list(gone)), ("have changed", changed), ("are new", new))
        if names
    ]


def _is_unchanged(path: Path, rows: list[ImageRow], keep_colour: bool) -> bool:
    """Return whether a file still holds the images of `rows`; if size or time differ, it is decoded."""
    if all(stamp(path) == row.file for row in rows):
        return True
    try:
        images = read_images(path, "all", keep_colour=keep_colour)
        found = {name: fingerprint(image.pixels).sha256 for name, image in images}
    except RejectedImage:
        return False
    return all(found.get(row.filename[len(file_of(row.filename)) + 1 :]) == row.sha256 for row in rows)
