"""Stored test images by their names, read back from the dataset folder of a RUN."""

from collections.abc import Iterable

import numpy as np

from fastmri_cls.comparison.runs import ComparedRun
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError

Key = tuple[str, str]  # source and file name


def read_pictures(runs: Iterable[ComparedRun], wanted: set[Key]) -> dict[Key, np.ndarray]:
    """Return test images, uint8 [size, size, channels], from the first dataset folder that still exists.

    Args:
        runs: their dataset folders are tried in order.
        wanted: source and file name of each image.

    Returns:
        {key: image}; empty if no folder is there, or none is the dataset of its run any more.
    """
    folders = dict.fromkeys((run.config.data, run.config.dataset.fingerprint) for run in runs)
    for directory, fingerprint in folders:
        try:
            dataset = Dataset(directory, verify=True)
        except UserError:
            continue
        if dataset.fingerprint == fingerprint:
            return _read(dataset, wanted)
    return {}


def _read(dataset: Dataset, wanted: set[Key]) -> dict[Key, np.ndarray]:
    splits = dataset.manifest.test_splits
    facts = dataset.facts(splits)
    keys = zip(facts.sources.tolist(), facts.filenames.tolist(), strict=True)
    places = {key: number for number, key in enumerate(keys) if key in wanted}
    images = dataset.images(splits, list(places.values()))
    return dict(zip(places, images, strict=True))
