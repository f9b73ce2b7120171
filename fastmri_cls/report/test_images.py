"""Test images of a dataset by their names: as stored in its shards, and as their source files have them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from fastmri_cls.dataset import Dataset
from fastmri_cls.duplicates.hashing import fingerprint
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.images import read_image
from fastmri_cls.sources.pixels import RejectedImage

Key: TypeAlias = tuple[str, str]  # source and file name


def stored_images(dataset: Dataset, wanted: Iterable[Key]) -> dict[Key, np.ndarray]:
    """Return test images as stored, uint8 [size, size, channels]; a name that is no test image is left out."""
    wanted = set(wanted)
    splits = dataset.manifest.test_splits
    facts = dataset.facts(splits)
    keys = zip(facts.sources.tolist(), facts.filenames.tolist(), strict=True)
    places = {key: number for number, key in enumerate(keys) if key in wanted}
    images = dataset.images(splits, list(places.values()))
    return dict(zip(places, images, strict=True))


def source_images(dataset: Dataset, wanted: Sequence[Key]) -> dict[Key, np.ndarray]:
    """Return test images at their own size, uint8 [height, width] or [height, width, 3].

    An image is left out if its file is gone, cannot be read here, or has other pixels than when the dataset was built.
    """
    folders = {source["name"]: Path(source["path"]) for source in dataset.manifest.sources}
    facts = dataset.facts(dataset.manifest.test_splits)
    keys = zip(facts.sources.tolist(), facts.filenames.tolist(), strict=True)
    hashes = dict(zip(keys, facts.sha256.tolist(), strict=True))
    found = {}
    for key in wanted:
        source, filename = key
        if key not in hashes or source not in folders:
            continue
        try:
            pixels = read_image(folders[source] / filename, keep_colour=dataset.channels == 3).pixels
        except (RejectedImage, UserError, OSError):  # a report is written without it
            continue
        if fingerprint(pixels).sha256 == hashes[key]:
            found[key] = pixels
    return found
