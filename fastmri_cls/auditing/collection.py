"""What an audit looks at: the images of source folders, or those stored in a dataset folder."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fastmri_cls.auditing.leakage import Columns
from fastmri_cls.dataset import Dataset
from fastmri_cls.duplicates.fingerprints import Fingerprints
from fastmri_cls.duplicates.hashing import fingerprint
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log, track
from fastmri_cls.foundation.quiet import import_tensorflow
from fastmri_cls.records.catalogue import collect
from fastmri_cls.records.ingest import ingest
from fastmri_cls.records.options import MetadataOptions
from fastmri_cls.records.patient_counts import PatientCounts
from fastmri_cls.records.patient_ids import compile_pattern, find_patients
from fastmri_cls.records.patients import Patients, unknown_patients
from fastmri_cls.records.split_names import kind_of
from fastmri_cls.records.workers import Workers
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.decode import FileFacts
from fastmri_cls.sources.folders import parse_sources, printable
from fastmri_cls.sources.images import read_each
from fastmri_cls.sources.nifti import parse_selection
from fastmri_cls.sources.scan import scan
from fastmri_cls.sources.tables import read_tables

_BATCH = 64  # stored images decoded at once


@dataclass(frozen=True)
class Collection:
    """Images, number i of each column for image i.

    Attributes:
        columns: source, split and class.
        paths: relative to their sources.
        fingerprints: by which duplicates are found.
        facts: of the files; None for a dataset, which does not keep them.
        known_groups: str [n], what belongs together whatever the pixels say (patients), or None.
        volumes: str [n], what each image is a slice of, empty for none.
        patients: of each image.
        patient_counts: what a dataset says of its patients, whose ids it does not keep; None for folders.
        table_ids: the patient ids that a table gives, [n], empty without one.
        rejected: (file, reason).
        pixels: decodes the images of the given numbers, uint8 [height, width] or [height, width, 3] each.
        dataset: the dataset folder that the images are from, or None.
    """

    columns: Columns
    paths: list[str]
    fingerprints: Fingerprints
    facts: list[FileFacts] | None
    known_groups: np.ndarray | None
    volumes: np.ndarray
    patients: Patients
    patient_counts: PatientCounts | None
    table_ids: list[str] = field(repr=False)
    rejected: list[tuple[str, str]]
    pixels: Callable[[Sequence[int]], list[np.ndarray]]
    dataset: Dataset | None = None

    def batches(self, size: int) -> Iterator[list[np.ndarray]]:
        """Yield all images in their order, `size` at a time, as `pixels` returns them; shards are read once."""
        if self.dataset is None:
            for start in range(0, len(self.paths), size):
                yield self.pixels(range(start, min(start + size, len(self.paths))))
            return
        waiting: list[np.ndarray] = []
        for images, _ in self.dataset.records(list(self.dataset.splits), size):
            waiting += [_plane(image) for image in images]  # a batch of records ends with its split
            while len(waiting) >= size:
                yield waiting[:size]
                del waiting[:size]
        if waiting:
            yield waiting


def read_folders(
    arguments: list[str], classes: ClassNames, metadata: MetadataOptions, workers: Workers, temporary: Path
) -> Collection:
    """Decode and fingerprint every image of the source folders `[NAME=]PATH`.

    Raises:
        UserError: a source or table cannot be read, or none of the files is an image.
    """
    sources = parse_sources(arguments)
    slices = parse_selection(metadata.slices)
    pattern = compile_pattern(metadata.patient_pattern)
    found = scan(sources, classes, read_tables(metadata.table, sources), allow_unlisted=metadata.allow_unlisted)
    files = found.files
    catalogue = collect(ingest(files, None, workers, slices), directory=temporary)
    if not catalogue.files:
        file, reason = catalogue.rejected[0]
        raise UserError(f"none of {len(files)} files is an image (the first: {printable(str(file.path))}: {reason})")
    found.tell()
    for line in catalogue.notes.lines():
        log.warning(line)
    return Collection(
        columns=Columns(catalogue.sources, catalogue.given_splits, catalogue.labels),
        paths=[file.filename for file in catalogue.files],
        fingerprints=catalogue.fingerprints,
        facts=catalogue.facts,
        known_groups=None,
        patient_counts=None,
        volumes=catalogue.volumes,
        patients=find_patients(catalogue.files, catalogue.patient_tags, pattern),
        table_ids=[file.patient if file.patient_origin == "table" else "" for file in catalogue.files],
        rejected=[(printable(f"{file.source}/{file.filename}"), reason) for file, reason in catalogue.rejected],
        pixels=lambda numbers: [
            image.pixels for image in read_each([catalogue.files[number].path for number in numbers])
        ],
    )


def read_dataset(directory: Path, temporary: Path) -> Collection:
    """Fingerprint every image of a dataset folder: its stored pixels find near duplicates, its sha256 exact ones.

    Raises:
        UserError: the folder is no whole dataset.
    """
    dataset = Dataset(directory, verify=True)
    import_tensorflow()
    splits = list(dataset.splits)
    batches = sum(-(-split.num_examples // _BATCH) for split in dataset.splits.values())
    fingerprints = Fingerprints(directory=temporary)
    for images, facts in track(dataset.records(splits, _BATCH), "reading shards", batches):
        for image, sha256 in zip(images, facts.sha256.tolist(), strict=True):
            if not re.fullmatch("[0-9a-f]{64}", sha256):
                raise UserError(f"{directory}: the sha256 of record {len(fingerprints)} is damaged; run verify")
            fingerprints.append(replace(fingerprint(_plane(image)), sha256=sha256))
    facts = dataset.facts(splits)
    return Collection(
        columns=Columns(facts.sources, np.array([kind_of(name) for name in facts.splits.tolist()]), facts.class_names),
        paths=facts.filenames.tolist(),
        fingerprints=fingerprints,
        facts=None,
        known_groups=facts.groups.astype(str),
        volumes=np.full(len(fingerprints), ""),
        patients=unknown_patients(len(fingerprints)),
        patient_counts=dataset.manifest.patients,
        table_ids=[],
        rejected=[],
        pixels=lambda numbers: [_plane(image) for image in dataset.images(splits, numbers)],
        dataset=dataset,
    )


def _plane(image: np.ndarray) -> np.ndarray:
    """Drop the channel axis of a grey image, uint8 [height, width, 1]."""
    return image[:, :, 0] if image.shape[2] == 1 else image
