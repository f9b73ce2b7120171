"""The public functions that read images: `build_dataset` and `audit`.

Each imports its work when it is called, so that asking for help loads nothing heavy, and raises `UserError`, one line
with the cure, for what its caller can mend. The command line calls the same functions.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastmri_cls.auditing.findings import Findings
    from fastmri_cls.dataset import Dataset

__all__ = ["audit", "build_dataset"]

StrPath = str | os.PathLike[str]
Sources = Mapping[str, StrPath] | Sequence[StrPath] | StrPath


def build_dataset(
    sources: Sources,
    out: StrPath,
    *,
    image_size: int = 224,
    resize: str = "bilinear",
    channels: str | int = "auto",
    encoding: str = "raw",
    split: str = "grouped",
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    leakage: str = "report",
    keep_duplicates: bool = False,
    folds: int | None = None,
    train_fraction: float = 1.0,
    train_source: str | Sequence[str] = (),
    classes: StrPath | None = None,
    table: StrPath | Sequence[StrPath] = (),
    allow_unlisted: bool = False,
    patient_pattern: str | None = None,
    inherit: str | None = None,
    slices: str | int = "content",
    shards: int | None = None,
    max_rejected: float = 0.05,
    allow_missing_classes: bool = False,
    workers: int | None = None,
    dask: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> "Dataset":
    """Build a dataset of TFRecord shards from folders of images.

    Every file is read once; duplicates in all orientations are found and kept on one side of the split. The folder
    appears whole or not at all.

    Args:
        sources: folders of class folders, or ZIP archives of them, by name, as `{"nickparvar": "archive1"}`; or alone.
        out: the dataset folder to make.
        image_size: height and width of the stored images, 16 to 2048 pixels.
        resize: `bilinear` (antialiased), `nearest` or `lanczos`.
        channels: 1, 3, or `auto` for 1 if all images are grey.
        encoding: `raw` reads fastest, `png` is smaller, `jpeg` is smallest and lossy.
        split: `grouped` pools all images and keeps groups whole; `published` keeps the sources' Training and Testing.
        val_fraction: fraction of the images outside the test set, 0 to 0.9.
        test_fraction: fraction of all images, for `grouped`, 0 to 0.9.
        leakage: with `published`, training images that duplicate a test image are kept (`report`), removed (`drop`) or
            an error (`fail`).
        keep_duplicates: keep exact duplicates within a split.
        folds: divide the images outside the test set into this many folds instead of train and val.
        train_fraction: fraction of the groups outside the test set to keep, above 0 to 1; smaller ones are part of
            larger ones.
        train_source: names (or one) of the sources to train and validate on; the others are in the test set alone.
        classes: a file of class names, one a line: `name: alias, ...`.
        table: CSV or TSV files, or one, with `filename` and any of `label`, `patient`, `split`; `NAME=FILE` for one
            source alone.
        allow_unlisted: accept images that a table leaves out.
        patient_pattern: regular expression whose first group, found in a file name, is the patient.
        inherit: `patients`: an image without a patient gets that of the image it duplicates.
        slices: axial slices of NIfTI volumes: `content`, `middle`, `all`, or a number of evenly spread ones.
        shards: of each split; None for one a 2048 images.
        max_rejected: fraction of unreadable files to accept, 0 to 1.
        allow_missing_classes: accept a source or split without a class that another one has.
        workers: processes; None for one a core.
        dask: read images on a Dask cluster, tcp://HOST:PORT or local:N, in place of processes (extra `cluster`).
        seed: of the split and the order of the training images.
        overwrite: replace `out`.

    Returns:
        The dataset, opened.

    Raises:
        UserError: an argument is out of range, a source cannot be read, too many files are unreadable, a class is
            missing, `out` exists, ...
    """
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.foundation.cpu import available_cores
    from fastmri_cls.foundation.option_checks import check_range
    from fastmri_cls.records import build
    from fastmri_cls.records.options import BuildOptions, MetadataOptions, SplitOptions
    from fastmri_cls.sources.classes import ClassNames, read_classes
    from fastmri_cls.sources.folders import parse_sources

    check_range("--workers", workers, 1)
    splitting = SplitOptions(
        method=split,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        leakage=leakage,
        keep_copies=keep_duplicates,
        folds=folds,
        train_fraction=train_fraction,
        train_source=_strings(train_source),
        seed=seed,
    )
    options = BuildOptions(
        image_size=image_size,
        resize=resize,
        channels=str(channels),
        encoding=encoding,
        splitting=splitting,
        metadata=MetadataOptions(_strings(table), allow_unlisted, patient_pattern, inherit, str(slices)),
        shards=shards,
        max_rejected=max_rejected,
        allow_missing_classes=allow_missing_classes,
    )
    build.build_dataset(
        parse_sources(_source_arguments(sources)),
        read_classes(Path(classes)) if classes else ClassNames(),
        options,
        Path(out),
        dask or workers or available_cores(),
        force=overwrite,
    )
    return Dataset(out)


def audit(
    sources: "Sources | Dataset",
    out: StrPath,
    *,
    classes: StrPath | None = None,
    table: StrPath | Sequence[StrPath] = (),
    allow_unlisted: bool = False,
    patient_pattern: str | None = None,
    inherit: str | None = None,
    slices: str | int = "content",
    write_patients: StrPath | None = None,
    labels: bool = False,
    workers: int | None = None,
    dask: str | None = None,
    overwrite: bool = False,
) -> "Findings":
    """Find duplicates in every orientation, leaks into test sets, and conflicting or doubtful labels.

    Args:
        sources: folders or archives, as for `build_dataset`; or a dataset, which is audited as it was split.
        out: the folder to make, with audit.html, audit.json and audit.csv.
        classes: a file of class names, one a line: `name: alias, ...`.
        table: CSV or TSV files, or one, with `filename` and any of `label`, `patient`, `split`; `NAME=FILE` for one
            source alone.
        allow_unlisted: accept images that a table leaves out.
        patient_pattern: regular expression whose first group, found in a file name, is the patient.
        inherit: `patients`: an image without a patient gets that of the image it duplicates.
        slices: axial slices of NIfTI volumes: `content`, `middle`, `all`, or a number of evenly spread ones.
        write_patients: a file for the inherited ids, as the table has them; for public tables only.
        labels: rank all images by how doubtful their label is; needs the extra `labels` and pretrained weights.
        workers: processes; None for one a core.
        dask: read images on a Dask cluster, tcp://HOST:PORT or local:N, in place of processes (extra `cluster`).
        overwrite: replace `out`, an earlier audit.

    Returns:
        The findings: what audit.json holds.

    Raises:
        UserError: an argument is unknown, a source cannot be read, no image can be used, `out` exists, or `labels`
            lacks what it needs.
    """
    from fastmri_cls.auditing import run
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.foundation.cpu import available_cores
    from fastmri_cls.foundation.option_checks import check_range
    from fastmri_cls.records.options import MetadataOptions
    from fastmri_cls.sources.classes import ClassNames, read_classes

    check_range("--workers", workers, 1)
    names = read_classes(Path(classes)) if classes else ClassNames()
    named: Sources = {"dataset": sources.path} if isinstance(sources, Dataset) else sources  # a path may have a "="
    arguments = _source_arguments(named)
    return run.audit(
        arguments,
        names,
        Path(out),
        dask or workers or available_cores(),
        MetadataOptions(_strings(table), allow_unlisted, patient_pattern, inherit, str(slices)),
        write_patients=Path(write_patients) if write_patients else None,
        labels=labels,
        force=overwrite,
    )


def _source_arguments(sources: Sources) -> list[str]:
    """Return sources as the command line writes them: NAME=PATH, or PATH."""
    if isinstance(sources, Mapping):
        return [f"{name}={os.fspath(path)}" for name, path in sources.items()]
    return list(_strings(sources))


def _strings(values: StrPath | Sequence[StrPath]) -> tuple[str, ...]:
    """Return names or paths, of which one may stand alone, as strings."""
    one_or_more = [values] if isinstance(values, str | os.PathLike) else values
    return tuple(os.fspath(value) for value in one_or_more)
