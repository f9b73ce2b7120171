"""Sources -> a dataset folder: the way of the data up to the shards, read top to bottom."""

import csv
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastmri_cls.audit.groups import connected_groups, label_conflicts
from fastmri_cls.audit.pairs import Pair, find_pairs
from fastmri_cls.foundation.atomic import new_directory, write_text
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import track
from fastmri_cls.foundation.quiet import import_tensorflow
from fastmri_cls.records.assignment import Assignment, SplitOptions, assign, look_up, read_split_table
from fastmri_cls.records.card import dataset_card
from fastmri_cls.records.catalogue import Catalogue, Spool, collect
from fastmri_cls.records.ingest import StorageForm, ingest, recode
from fastmri_cls.records.manifest import Manifest, Split
from fastmri_cls.sources.folders import ClassNames, Source, scan


@dataclass(frozen=True)
class BuildOptions:
    """What a dataset is built with; equal sources and options give byte-identical shards.

    Fields:
        image_size: pixels, square. resize: bilinear (antialiased), nearest or lanczos.
        channels: auto (1 where all images are grey, else 3), 1 or 3. encoding: raw, png or jpeg.
        shards: of every split; None makes one for every 2048 examples.
        max_rejected: the share of unreadable files that is still no reason to stop.
        allow_missing_classes: accept a source that lacks a class another source has.
    """

    image_size: int = 224
    resize: str = "bilinear"
    channels: str = "auto"
    encoding: str = "raw"
    splitting: SplitOptions = field(default=SplitOptions())
    shards: int | None = None
    max_rejected: float = 0.05
    allow_missing_classes: bool = False


def build_dataset(
    sources: list[Source], classes: ClassNames, options: BuildOptions, out: Path, workers: int, *, force: bool = False
) -> Manifest:
    """Build the dataset folder `out` from `sources`; it appears whole or not at all.

    Raises:
        UserError: sources cannot be read, too many files are bad, a class is missing, `out` exists, ...
    """
    is_csv = options.splitting.method not in ("grouped", "published")
    table = read_split_table(Path(options.splitting.method)) if is_csv else None
    files = [file for source in sources for file in scan(source, classes)]
    form = StorageForm(
        options.image_size, options.resize, 0 if options.channels == "auto" else int(options.channels), options.encoding
    )
    with new_directory(out, force=force) as directory:
        spool = Spool(directory)
        catalogue = collect(track(ingest(files, form, workers), "reading images", len(files)), spool)
        _check_accepted(catalogue, len(files), options)
        pairs = find_pairs(catalogue.fingerprints)
        patients = look_up(table.groups, catalogue) if table else None
        groups = connected_groups(len(catalogue), pairs, patients)
        assignment = assign(catalogue, groups, options.splitting, table)

        names = classes.order(set(catalogue.labels))
        channels = max(catalogue.channels) if options.channels == "auto" else int(options.channels)
        splits = _write_splits(directory, catalogue, spool, groups, assignment, names, channels, options)
        spool.close()
        manifest = Manifest(
            classes=tuple(names),
            image_size=options.image_size,
            channels=channels,
            encoding=options.encoding,
            options=asdict(options),
            sources=[_describe(source, catalogue) for source in sources],
            split=options.splitting.method,
            splits=splits,
            rejected=[{"path": f"{f.source}/{f.filename}", "reason": reason} for f, reason in catalogue.rejected],
            duplicates=_describe_duplicates(catalogue, pairs, groups, assignment),
        )
        _write_images_csv(directory / "images.csv", catalogue, groups, assignment)
        write_text(directory / "README.md", dataset_card(manifest))
        manifest.write(directory)
    return manifest


def _check_accepted(catalogue: Catalogue, num_files: int, options: BuildOptions) -> None:
    if len(catalogue.rejected) > options.max_rejected * num_files:
        file, reason = catalogue.rejected[0]
        raise UserError(
            f"{len(catalogue.rejected)} of {num_files} files cannot be used (the first: {file.path}: {reason}); "
            f"mend them or raise --max-rejected {options.max_rejected}"
        )
    found = {source: set(catalogue.labels[catalogue.sources == source]) for source in np.unique(catalogue.sources)}
    everything = set().union(*found.values())
    for file, reason in catalogue.rejected:
        if file.label not in everything:
            raise UserError(f"class {file.label}: none of its files can be used (the first: {file.path}: {reason})")
    if len(everything) < 2:
        raise UserError(f"only the class {', '.join(everything)} was found; a classifier needs at least two")
    for source, labels in found.items():
        missing = sorted(everything - labels)
        if missing and not options.allow_missing_classes:
            raise UserError(
                f"source {source}: has no images of class {', '.join(missing)}; check the folder names, "
                "map them with --classes, or add --allow-missing-classes"
            )


def _write_splits(
    directory: Path,
    catalogue: Catalogue,
    spool: Spool,
    groups: np.ndarray,
    assignment: Assignment,
    classes: list[str],
    channels: int,
    options: BuildOptions,
) -> dict[str, Split]:
    # TensorFlow is imported here, after the worker processes have done their work without it.
    import_tensorflow()
    from fastmri_cls.records.schema import Example
    from fastmri_cls.records.writer import write_split

    form = StorageForm(options.image_size, options.resize, channels, options.encoding)
    number = {name: label for label, name in enumerate(classes)}

    def example(index: int) -> Example:
        file = catalogue.files[index]
        return Example(
            encoded=recode(spool[index], catalogue.channels[index], form),
            format=options.encoding,
            size=options.image_size,
            channels=channels,
            label=number[file.label],
            class_name=file.label,
            source=file.source,
            filename=file.filename,
            sha256=catalogue.fingerprints[index].sha256,
            group=int(groups[index]),
            clean=bool(assignment.clean[index]),
        )

    # Shards are read from their start by whoever streams: the training split is mixed once here, for good.
    train = np.random.default_rng(options.splitting.seed).permutation(np.flatnonzero(assignment.split == "train"))
    members = {"train": train, "val": np.flatnonzero(assignment.split == "val")}
    for source in dict.fromkeys(catalogue.sources):
        of_source = np.flatnonzero((assignment.split == "test") & (catalogue.sources == source))
        if len(of_source):
            members[f"test.{source}"] = of_source
    return {
        name: write_split(directory, name, indices.tolist(), example, options.shards)
        for name, indices in members.items()
    }


def _describe(source: Source, catalogue: Catalogue) -> dict[str, Any]:
    num_files = sum(file.source == source.name for file in catalogue.files)
    return {"name": source.name, "path": str(source.path), "num_files": num_files}


def _describe_duplicates(
    catalogue: Catalogue, pairs: list[Pair], groups: np.ndarray, assignment: Assignment
) -> dict[str, Any]:
    reasons = Counter(str(reason).split(" of ")[0] for reason in assignment.reason if reason)
    return {
        "exact": sum(pair.kind == "exact" for pair in pairs),
        "near": sum(pair.kind == "near" for pair in pairs),
        "groups": len(np.unique(groups)),
        "dropped": dict(reasons),
        "label_conflicts": len(label_conflicts(groups, catalogue.labels)),
    }


def _write_images_csv(path: Path, catalogue: Catalogue, groups: np.ndarray, assignment: Assignment) -> None:
    """Every accepted image with its group and its split, or why it is in none."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("source", "filename", "class", "group", "split", "clean", "left_out"))
        for index, image in enumerate(catalogue.files):
            row = (assignment.split[index], int(assignment.clean[index]), assignment.reason[index])
            writer.writerow((image.source, image.filename, image.label, int(groups[index]), *row))
