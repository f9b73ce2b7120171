"""Class folders as a dataset: built once into the cache, with the defaults of build-tfrecords, and found again.

`train --data FOLDER` uses it. The name of the cached dataset has a hash of the folder's path, of the names, sizes and
times of its files, and of the options: a folder in which anything has changed gives another dataset.
"""

import hashlib
from pathlib import Path

from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.cache import DATASETS
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import busy, log
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.manifest import FILE_NAME
from fastmri_cls.records.options import BuildOptions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import is_archive, parse_sources
from fastmri_cls.sources.storage import files_below, stamp

_HASH_LENGTH = 12


def dataset_of(path: Path, options: BuildOptions) -> Path:
    """Return a dataset folder: `path` itself, or the dataset that is made of the class folders in `path`.

    Args:
        path: a dataset, or a folder or ZIP archive of class folders.
        options: of the build.

    Raises:
        UserError: the class folders give no dataset.
    """
    is_dataset = (path / FILE_NAME).exists() or any(path.glob("*.tfrecord"))  # perhaps a damaged one
    if is_dataset or not (path.is_dir() or is_archive(path)):
        return path
    with busy(f"looking at {path}"):
        found = sorted((str(file), _stamp(file)) for file in files_below(path.resolve()))
    key = json_files.dumps([str(path.resolve()), options, found])
    name = f"{path.resolve().stem}-{hashlib.sha256(key.encode()).hexdigest()[:_HASH_LENGTH]}"
    folder = DATASETS.directory / name
    if (folder / FILE_NAME).exists():
        DATASETS.mark_used(folder)
        log.info(f"dataset: {folder} (built earlier from {path}, in which nothing has changed)")
        return folder
    log.info(f"dataset: {folder} (built from {path} now; --data {folder} names it directly)")
    named = f"source={path}" if "=" in str(path) else str(path)  # NAME=PATH is what a source looks like
    try:
        build_dataset(parse_sources([named]), ClassNames(), options, folder, available_cores())
    except UserError as error:
        if "another process is writing it" in str(error):
            raise UserError(f"{path}: another process builds a dataset from it; run again when that is done") from None
        if " --" not in str(error):
            raise
        raise UserError(
            f"{error}; these are flags of build-tfrecords, not of train: run fastmri-cls build-tfrecords {path} "
            "--out DIR with them, then train --data DIR"
        ) from None
    return folder


def _stamp(file: Path) -> tuple[int, int] | None:
    """Return bytes and time of change; None for a link that leads nowhere, which the build counts."""
    try:
        found = stamp(file)
    except OSError:
        return None
    return found.bytes, found.modified
