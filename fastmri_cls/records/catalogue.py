"""The accepted images of one pass as columns, row i for image i: what splits, groups and shards are decided from."""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fastmri_cls.duplicates.fingerprints import Fingerprints
from fastmri_cls.records.ingest import IngestedImage
from fastmri_cls.sources.decode import FileFacts
from fastmri_cls.sources.folders import SourceFile, printable
from fastmri_cls.sources.notes import NoteCounts
from fastmri_cls.sources.patient_tags import PatientTags
from fastmri_cls.sources.storage import FileStamp


class Spool:
    """The images' encoded bytes on disk, in a file without a name: it is gone when its process is, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed in `close`
        self._places: list[tuple[int, int]] = []  # offset, length

    def append(self, encoded: bytes) -> None:
        """Keep `encoded` as the next image."""
        self._places.append((self._file.tell(), len(encoded)))
        self._file.write(encoded)

    def replace(self, index: int, encoded: bytes) -> None:
        """Keep `encoded` in place of image `index`."""
        self._places[index] = (self._file.tell(), len(encoded))
        self._file.write(encoded)

    def __getitem__(self, index: int) -> bytes:
        offset, length = self._places[index]
        self._file.flush()
        return os.pread(self._file.fileno(), length, offset)

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()


@dataclass
class Catalogue:
    """Images in the order of the scan, the files that were rejected with their reasons, and the notes on the others."""

    files: list[SourceFile] = field(default_factory=list)
    facts: list[FileFacts] = field(default_factory=list)
    fingerprints: Fingerprints = field(default_factory=Fingerprints)
    channels: list[int] = field(default_factory=list)
    stamps: list[FileStamp | None] = field(default_factory=list)
    colour_merged: list[bool] = field(default_factory=list)
    patient_tags: list[PatientTags | None] = field(default_factory=list, repr=False)
    rejected: list[tuple[SourceFile, str]] = field(default_factory=list)
    notes: NoteCounts = field(default_factory=NoteCounts)

    def __len__(self) -> int:
        return len(self.files)

    def replace(self, index: int, image: IngestedImage) -> None:
        """Put what another reading of file `index` gave in the place of the first."""
        self.fingerprints[index], self.channels[index] = image.fingerprint, image.channels
        self.stamps[index], self.colour_merged[index] = image.stamp, image.colour_merged

    @property
    def names(self) -> list[str]:
        """`source/filename` of each image, [n]."""
        return [printable(f"{file.source}/{file.filename}") for file in self.files]

    @property
    def labels(self) -> np.ndarray:
        """Class names, str [n]."""
        return np.array([file.label for file in self.files])

    @property
    def sources(self) -> np.ndarray:
        """Source names, str [n]."""
        return np.array([file.source for file in self.files])

    @property
    def volumes(self) -> np.ndarray:
        """`source/filename` of the volume that each image is a slice of, str [n]; empty for other images."""
        return np.array([f"{file.source}/{file.volume}" if file.volume else "" for file in self.files])

    @property
    def given_splits(self) -> np.ndarray:
        """The split each file's folder names, str [n]; empty where there is none."""
        return np.array([file.split or "" for file in self.files])

    @property
    def given_folds(self) -> np.ndarray:
        """The published fold of each image, int64 [n], from 0; -1 for an image without one."""
        return np.array([-1 if file.fold is None else file.fold for file in self.files], dtype=np.int64)


def collect(
    ingested: Iterable[tuple[SourceFile, IngestedImage | str]],
    spool: Spool | None = None,
    directory: Path | None = None,
) -> Catalogue:
    """Run through `ingested` once.

    Args:
        ingested: files and what became of them.
        spool: takes the encoded images, if they are needed.
        directory: where the thumbnails go; see `Fingerprints`. The rest stays in memory, about 1 kB an image.
    """
    catalogue = Catalogue(fingerprints=Fingerprints(directory=directory))
    for file, image in ingested:
        if isinstance(image, str):
            catalogue.rejected.append((file, image))
            continue
        catalogue.files.append(file)
        catalogue.facts.append(image.facts)
        catalogue.fingerprints.append(image.fingerprint)
        catalogue.channels.append(image.channels)
        catalogue.stamps.append(image.stamp)
        catalogue.colour_merged.append(image.colour_merged)
        catalogue.patient_tags.append(image.patient_tags)
        catalogue.notes.add(printable(f"{file.source}/{file.filename}"), image.notes)
        if spool is not None:
            spool.append(image.encoded)
    return catalogue
