"""What is checked of a repository before anything in it is used: names and sizes first, then every file by its kind.

No file is downloaded that a RUN or a dataset does not have, and nothing in one is executed.
"""

import json
import re
import zipfile
from pathlib import Path

import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.hub.client import GIT_FILE, Listing
from fastmri_cls.hub.names import Repository
from fastmri_cls.hub.run_files import ARCHITECTURE, PUBLISHED, REQUIRED, WEIGHTS, check_published
from fastmri_cls.models.weights_safety import vet_weights_file
from fastmri_cls.records.images_csv import FILE_NAME as IMAGES
from fastmri_cls.records.manifest import FILE_NAME as MANIFEST
from fastmri_cls.runs import files

DATASET_FILES = (MANIFEST, IMAGES, "README.md")
_SHARD = re.compile(r"[^/\\\0]+\.tfrecord")
_HARMLESS = re.compile(r"(LICEN[CS]E|NOTICE|CITATION)[\w.-]*|[\w.-]+\.(md|txt|png|jpg|svg)", re.ASCII)  # not downloaded
_MOST_TEXT = 64 << 20  # bytes of a JSON, CSV or Markdown file; the largest seen has 2 MB
_BINARY = (WEIGHTS, files.OOD_REFERENCE)
_FEATURES, _DISTANCE = "features", "unit_distance"  # the arrays in ood_reference.npz


def is_shard(name: str) -> bool:
    """Return whether a file in a repository is a shard of a dataset, by its name."""
    return _SHARD.fullmatch(name) is not None


def is_of_run(name: str) -> bool:
    """Return whether push makes a file of this name of a RUN."""
    return name in PUBLISHED


def is_of_dataset(name: str) -> bool:
    """Return whether push makes a file of this name of a dataset."""
    return name in DATASET_FILES or is_shard(name)


def run_names(repository: Repository, listing: Listing) -> list[str]:
    """Return the files of a RUN in a repository, which may be downloaded.

    Raises:
        UserError: it is no RUN, or holds files that no RUN has.
    """
    missing = [name for name in REQUIRED if name not in listing.sizes]
    if missing:
        raise UserError(f"{repository}: has no {missing[0]}, so it is no RUN that push made; see its page")
    _refuse_others(repository, [name for name in listing.sizes if not is_of_run(name)])
    names = [name for name in PUBLISHED if name in listing.sizes]
    _refuse_large(repository, listing, [name for name in names if name not in _BINARY])
    return names


def dataset_names(repository: Repository, listing: Listing) -> list[str]:
    """Return the files of a dataset in a repository but for its shards, likewise."""
    missing = [name for name in DATASET_FILES if name not in listing.sizes]
    if missing:
        raise UserError(f"{repository}: has no {missing[0]}, so it is no dataset that push made; see its page")
    _refuse_others(repository, [name for name in listing.sizes if not is_of_dataset(name)])
    _refuse_large(repository, listing, [name for name in DATASET_FILES if name != IMAGES])
    return list(DATASET_FILES)


def vet_published_run(repository: Repository, folder: Path) -> None:
    """Check the downloaded files of a RUN without loading anything from them.

    Raises:
        UserError: one has changed since it was pushed, carries code, refers to other files or is damaged.
    """
    check_published(folder, str(repository))
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    from fastmri_cls.models.architecture_safety import architecture_fault

    try:
        fault = architecture_fault(json.loads((folder / ARCHITECTURE).read_bytes()))
    except (ValueError, RecursionError):
        fault = f"{ARCHITECTURE} is no JSON"
    fault = fault or _reference_fault(folder / files.OOD_REFERENCE)
    if fault:
        raise UserError(f"{repository}: {fault}; nothing of it was run; do not use it")
    try:
        vet_weights_file(folder / WEIGHTS)
    except UserError as error:
        raise UserError(f"{repository}: {str(error).removeprefix(f'{folder}/')}") from None


def _reference_fault(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > 100 * path.stat().st_size:
                return f"{path.name} inflates to more than a hundred times its size"
        with np.load(path, allow_pickle=False) as arrays:
            features, distance = arrays[_FEATURES], arrays[_DISTANCE]
            is_sound = features.ndim == 2 and features.dtype.kind == distance.dtype.kind == "f" and distance.size == 1
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile):
        is_sound = False
    return None if is_sound else f"{path.name} is not what push wrote"


def _refuse_others(repository: Repository, others: list[str]) -> None:
    dangerous = [name for name in others if name != GIT_FILE and not _HARMLESS.fullmatch(name)]
    if dangerous:
        raise UserError(
            f"{repository}: holds {dangerous[0]!r}, which push never makes; nothing was downloaded; do not trust it"
        )


def _refuse_large(repository: Repository, listing: Listing, names: list[str]) -> None:
    for name in names:
        if listing.sizes[name] > _MOST_TEXT:
            raise UserError(f"{repository}: {name} has {listing.sizes[name]} bytes, too many; do not trust it")
