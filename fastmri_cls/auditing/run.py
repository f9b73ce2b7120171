"""Sources, or a dataset folder -> an audit folder: the way of the data through an audit, read top to bottom."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from fastmri_cls.auditing.collection import Collection, read_dataset, read_folders
from fastmri_cls.auditing.findings import Findings
from fastmri_cls.auditing.leakage import Columns, count_groups, count_leaks, count_pairs
from fastmri_cls.auditing.patients import (
    check_patients_file,
    describe_patients,
    inherit_patients,
    write_patients_csv,
)
from fastmri_cls.auditing.report import write_audit_report
from fastmri_cls.duplicates.groups import connected_groups
from fastmri_cls.duplicates.index import MAX_NEIGHBOURS
from fastmri_cls.duplicates.pairs import Pair, find_duplicates
from fastmri_cls.evaluation.baselines import baseline_accuracies
from fastmri_cls.foundation.atomic import new_directory, write_text
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.quiet import import_tensorflow
from fastmri_cls.records.checks import check_target
from fastmri_cls.records.manifest import FILE_NAME as DATASET_FILE
from fastmri_cls.records.options import MetadataOptions
from fastmri_cls.records.patients import join_groups
from fastmri_cls.records.workers import Workers
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import source_path

FILE_NAME = "audit.json"
_PAIR_COLUMNS = (
    "a_source", "a_path", "b_source", "b_path", "kind", "orientation", "similarity",
    "a_split", "b_split", "a_class", "b_class", "conflict", "group",
)  # fmt: skip


def audit(
    sources: list[str],
    classes: ClassNames,
    out: Path,
    workers: Workers,
    metadata: MetadataOptions | None = None,
    *,
    write_patients: Path | None = None,
    labels: bool = False,
    force: bool = False,
) -> Findings:
    """Audit folders or one dataset folder into the folder `out`.

    Args:
        sources: `[NAME=]PATH` of folders, or of one dataset folder alone.
        classes: the spellings of the classes.
        out: the folder to make.
        workers: processes that read images, or a Dask cluster.
        metadata: tables and patients, for folders.
        write_patients: a file for the patients that images inherited from a table, see `write_patients_csv`.
        labels: rank doubtful labels.
        force: replace `out`.

    Returns:
        The content of audit.json.

    Raises:
        UserError: a source cannot be read, no image can be used, `out` exists or would harm something, or `labels`
            lacks an extra, weights, or independent groups of a class.
    """
    metadata = metadata or MetadataOptions()
    dataset = find_dataset(sources)
    if dataset and (classes.file or metadata != MetadataOptions()):
        raise UserError(
            f"{dataset}: is a dataset, whose classes and groups are fixed; audit its sources to give --classes, tables "
            "or patients"
        )
    if write_patients:
        check_patients_file(write_patients, out, metadata)
    check_target(out, map(source_path, sources), "audit", FILE_NAME, force=force)
    if labels:
        import_tensorflow()
        from fastmri_cls.auditing import doubtful

        published = doubtful.find_weights()
    with new_directory(out, force=force) as directory:
        if dataset:
            images = read_dataset(dataset, directory)
        else:
            images = read_folders(sources, classes, metadata, workers, directory)
        duplicates = find_duplicates(images.fingerprints)
        pairs = duplicates.pairs
        groups = connected_groups(len(images.paths), pairs, images.known_groups)
        patients, inherited = inherit_patients(images, groups) if metadata.inherit else (images.patients, None)
        patient_counts = describe_patients(images, patients, inherited)
        findings: Findings = {
            "images": _count_images(images.columns),
            "groups": count_groups(groups, images.columns),
            "pairs": count_pairs(pairs, images.columns),
            "search": {"crowded": duplicates.crowded, "cut": duplicates.cut, "max_neighbours": MAX_NEIGHBOURS},
            "test_sets": count_leaks(duplicates, groups, images.columns),
            "patients": msgspec.to_builtins(patient_counts),
            "baselines": _baselines(images),
            "rejected": [{"path": path, "reason": reason} for path, reason in images.rejected],
        }
        order = None
        if labels:
            whole = join_groups(groups, patients, images.volumes)
            findings["labels"], order = doubtful.rank_labels(images, published, whole, duplicates.representatives)
            doubtful.write_labels_csv(directory / "labels.csv", findings["labels"]["ranked"])
        if write_patients:
            write_patients_csv(write_patients, images, patients)
        _write_pairs(directory / "audit.csv", pairs, groups, images)
        write_text(directory / FILE_NAME, json.dumps(findings, indent=2, ensure_ascii=False) + "\n")
        write_audit_report(
            directory / "audit.html", findings, pairs, groups, images.columns, images.paths, images.pixels, order
        )
    return findings


def find_dataset(sources: list[str]) -> Path | None:
    """Return the dataset folder that is audited, None for folders of images.

    Raises:
        UserError: a dataset is given together with other sources, or a source is empty.
    """
    datasets = [source for source in sources if (source_path(source) / DATASET_FILE).is_file()]
    if datasets and len(sources) > 1:
        raise UserError(
            f"source {datasets[0]}: is a dataset folder; audit it alone, or audit the folders it was made of"
        )
    return source_path(datasets[0]) if datasets else None


def _count_images(columns: Columns) -> dict[str, dict[str, int]]:
    """Return {source: {split: images}}; the split of a source without split folders is called `all`."""
    return {
        source: dict(Counter(split or "all" for split in columns.splits[columns.sources == source].tolist()))
        for source in dict.fromkeys(columns.sources.tolist())
    }


def _baselines(images: Collection) -> dict[str, dict[str, float]]:
    """Return the no-learning accuracies on each source's test images and on all; trained on all training images."""
    test = ~images.columns.training
    tests = {
        source: np.flatnonzero(test & (images.columns.sources == source))
        for source in np.unique(images.columns.sources[test]).tolist()
    }
    if len(tests) > 1:
        tests["pooled"] = np.flatnonzero(test)
    thumbnails = images.fingerprints.thumbnails()
    return baseline_accuracies(
        images.columns.labels, np.flatnonzero(images.columns.training), tests, thumbnails, images.facts
    )


def _write_pairs(path: Path, pairs: Sequence[Pair], groups: np.ndarray, images: Collection) -> None:
    """Write audit.csv: every pair of duplicates."""
    known = images.columns
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_PAIR_COLUMNS)
        for a, b, kind, orientation, similarity in pairs:
            writer.writerow((
                known.sources[a], images.paths[a], known.sources[b], images.paths[b],
                kind, orientation, f"{similarity:.4f}",
                known.splits[a], known.splits[b], known.labels[a], known.labels[b],
                int(known.labels[a] != known.labels[b]), groups[a],
            ))  # fmt: skip
