"""Stored test images by their names, read back from the dataset folder of a RUN, as JPEG for a report."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from fastmri_cls.comparison.runs import Run
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError

Key = tuple[str, str]  # source and file name

_QUALITY = 85  # some 6 kB a picture of 224 pixels


def read_pictures(runs: Iterable[Run], wanted: set[Key]) -> dict[Key, bytes]:
    """Return JPEG files of the `wanted` test images, from the first run's dataset folder that is still there.

    Empty where none is: a report without pictures is a report still.
    """
    folders = dict.fromkeys((Path(run.config["data"]), run.config["dataset"]["fingerprint"]) for run in runs)
    for directory, fingerprint in folders:
        try:
            dataset = Dataset(directory, verify=True)
        except UserError:
            continue
        if dataset.fingerprint == fingerprint:
            return _read(dataset, wanted)
    return {}


def _read(dataset: Dataset, wanted: set[Key]) -> dict[Key, bytes]:
    splits = dataset.manifest.test_splits
    facts = dataset.facts(splits)
    keys = zip(facts.sources.tolist(), facts.filenames.tolist(), strict=True)
    places = {key: number for number, key in enumerate(keys) if key in wanted}
    images = dataset.images(splits, list(places.values()))
    return {key: _jpeg(image) for key, image in zip(places, images, strict=True)}


def _jpeg(image: np.ndarray) -> bytes:
    """Encode uint8 [size, size, 1 or 3]."""
    out = io.BytesIO()
    Image.fromarray(image.squeeze()).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
