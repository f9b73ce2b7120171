"""Sources -> a dataset folder: the way of the data up to the shards, read top to bottom."""

import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fastmri_cls.duplicates.groups import connected_groups, label_conflicts
from fastmri_cls.duplicates.pairs import Duplicates, bound_notes, find_duplicates
from fastmri_cls.foundation.atomic import new_directory, write_text
from fastmri_cls.foundation.progress import log, track
from fastmri_cls.records.card import dataset_card
from fastmri_cls.records.catalogue import Catalogue, Spool, collect
from fastmri_cls.records.channels import settle_channels
from fastmri_cls.records.checks import check_ingested, check_target
from fastmri_cls.records.example import Example
from fastmri_cls.records.images_csv import ImageRow, write_images_csv
from fastmri_cls.records.ingest import StorageForm, ingest, recode
from fastmri_cls.records.manifest import FILE_NAME, Manifest, SourceSummary, Split
from fastmri_cls.records.options import BuildOptions, as_flags
from fastmri_cls.records.patient_counts import Inheritance, PatientCounts
from fastmri_cls.records.patient_ids import compile_pattern, find_patients
from fastmri_cls.records.patients import Patients, count_patients, inherit, join_groups
from fastmri_cls.records.split_names import fold_name, test_name
from fastmri_cls.records.splits import Assignment, assign, check_method, check_splits, straddling_groups
from fastmri_cls.records.training_part import check_training_part
from fastmri_cls.records.workers import Workers
from fastmri_cls.records.writer import write_split
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Source, printable
from fastmri_cls.sources.nifti import parse_selection
from fastmri_cls.sources.scan import scan
from fastmri_cls.sources.tables import read_tables


def build_dataset(
    sources: list[Source],
    classes: ClassNames,
    options: BuildOptions,
    out: Path,
    workers: Workers,
    *,
    force: bool = False,
) -> Manifest:
    """Build the dataset folder `out` from `sources`; it appears whole or not at all.

    Raises:
        UserError: sources cannot be read, too many files are bad, a class is missing, `out` exists, ...
    """
    check_target(out, (source.path for source in sources), "dataset", FILE_NAME, force=force)
    check_method(options.splitting.method)
    check_training_part(options.splitting, {source.name for source in sources})
    pattern = compile_pattern(options.metadata.patient_pattern)
    slices = parse_selection(options.metadata.slices)
    tables = read_tables(options.metadata.table, sources)
    absolute = tuple(table.argument for table in tables)  # so that the command in the card works from any folder
    options = replace(options, metadata=replace(options.metadata, table=absolute))
    found = scan(sources, classes, tables, allow_unlisted=options.metadata.allow_unlisted)
    files = found.files
    form = StorageForm(
        options.image_size, options.resize, 0 if options.channels == "auto" else int(options.channels), options.encoding
    )
    with new_directory(out, force=force) as directory:
        spool = Spool(directory)
        catalogue = collect(ingest(files, form, workers, slices), spool, directory)
        found.tell()
        channels = settle_channels(catalogue, spool, form, workers, slices)
        for line in catalogue.notes.lines():
            log.warning(line)
        check_ingested(catalogue, len(files), classes, options)
        patients = find_patients(catalogue.files, catalogue.patient_tags, pattern)
        duplicates = find_duplicates(catalogue.fingerprints)
        for line in bound_notes(duplicates.crowded, duplicates.cut):
            log.warning(line)
        copies = connected_groups(len(catalogue), duplicates.pairs)
        inherited = None
        if options.metadata.inherit:
            columns = (catalogue.sources, catalogue.given_splits)
            patients, inherited = inherit(patients, copies, catalogue.labels, catalogue.names, columns)
        groups = join_groups(copies, patients, catalogue.volumes)
        assignment = assign(catalogue, copies, groups, options.splitting, by_table=found.table_splits)
        check_splits(catalogue, assignment, options)
        patient_counts = _count_patients(patients, catalogue, assignment, inherited)
        for line in patient_counts.lines():
            log.info(line)

        names = classes.order(set(catalogue.labels))
        splits = _write_splits(directory, catalogue, spool, groups, assignment, names, channels, options)
        spool.close()
        manifest = Manifest(
            classes=tuple(names),
            image_size=options.image_size,
            channels=1 if channels == 1 else 3,
            encoding=options.encoding,
            options=msgspec.json.decode(msgspec.json.encode(options))
            | {"command": _command(sources, classes, options, out)},
            sources=[_describe(source, catalogue) for source in sources],
            split="table" if found.table_splits else options.splitting.method,
            splits=splits,
            rejected=[
                {"path": printable(f"{file.source}/{file.filename}"), "reason": reason}
                for file, reason in catalogue.rejected
            ],
            duplicates=_describe_duplicates(catalogue, duplicates, copies, groups, assignment),
            notes=catalogue.notes.as_json(),
            passed_over=[entry._asdict() for entry in found.passed_over],
            patients=patient_counts,
        )
        write_images_csv(directory, _rows(catalogue, groups, assignment))
        write_text(directory / "README.md", dataset_card(manifest))
        manifest.write(directory)
    return manifest


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
            sha256=catalogue.fingerprints.sha256(index),
            group=int(groups[index]),
            clean=bool(assignment.clean[index]),
        )

    members = _members(catalogue, assignment, options)
    indices = track(members.items(), "writing splits", len(members))
    return {name: write_split(directory, name, part.tolist(), example, options.shards) for name, part in indices}


def _members(catalogue: Catalogue, assignment: Assignment, options: BuildOptions) -> dict[str, np.ndarray]:
    """Return the images of every split in the order they are written."""

    def in_split(name: str) -> np.ndarray:
        return np.flatnonzero(assignment.split == name)

    # Shards are read from their start by whoever streams: what is trained on is mixed once here, for good.
    mix = np.random.default_rng(options.splitting.seed).permutation
    if options.splitting.folds:
        members = {fold_name(fold): mix(in_split(fold_name(fold))) for fold in range(options.splitting.folds)}
    else:
        members = {"train": mix(in_split("train")), "val": in_split("val")}
    for source in dict.fromkeys(catalogue.sources.tolist()):
        of_source = in_split("test")[catalogue.sources[in_split("test")] == source]
        if len(of_source):
            members[test_name(source)] = of_source
    return members


def _command(sources: list[Source], classes: ClassNames, options: BuildOptions, out: Path) -> str:
    named = [f"{source.name}={source.path}" for source in sources]
    class_file = ["--classes", str(classes.file)] if classes.file else []
    return shlex.join(
        ["fastmri-cls", "build-tfrecords", *named, "--out", str(out.absolute()), *as_flags(options), *class_file]
    )


def _describe(source: Source, catalogue: Catalogue) -> SourceSummary:
    num_files = sum(file.source == source.name for file in catalogue.files)
    return {"name": source.name, "path": str(source.path), "num_files": num_files}


def _count_patients(
    patients: Patients, catalogue: Catalogue, assignment: Assignment, inherited: Inheritance | None
) -> PatientCounts:
    test = assignment.split == "test"
    training = (assignment.split != "") & ~test
    columns = (assignment.split, catalogue.sources, catalogue.volumes)
    return count_patients(patients, *columns, test, training, inherited)


def _describe_duplicates(
    catalogue: Catalogue, duplicates: Duplicates, copies: np.ndarray, groups: np.ndarray, assignment: Assignment
) -> dict[str, Any]:
    return {
        "exact": sum(pair.kind == "exact" for pair in duplicates.pairs),
        "near": sum(pair.kind == "near" for pair in duplicates.pairs),
        "crowded": duplicates.crowded,
        "cut": duplicates.cut,
        "groups": len(np.unique(groups)),
        "straddling": straddling_groups(assignment.split, groups),
        "dropped": dict(Counter(assignment.reason[assignment.reason != ""].tolist())),
        "label_conflicts": len(label_conflicts(copies, catalogue.labels)),
    }


def _rows(catalogue: Catalogue, groups: np.ndarray, assignment: Assignment) -> list[ImageRow]:
    return [
        ImageRow(
            source=file.source,
            filename=file.filename,
            class_name=file.label,
            group=int(groups[index]),
            split=str(assignment.split[index]),
            clean=bool(assignment.clean[index]),
            left_out=str(assignment.reason[index]),
            sha256=catalogue.fingerprints.sha256(index),
            file=stamp,
            facts=catalogue.facts[index],
        )
        for index, (file, stamp) in enumerate(zip(catalogue.files, catalogue.stamps, strict=True))
        if stamp is not None
    ]
