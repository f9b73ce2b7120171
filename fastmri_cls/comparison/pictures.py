"""Stored test images by their names, read back from the dataset folder of a RUN, as JPEG for a report."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from fastmri_cls.comparison.runs import Run
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.manifest import Manifest, check_files, read_manifest
from fastmri_cls.records.schema import parse_facts, parse_images

Key = tuple[str, str]  # source and file name

_QUALITY = 85  # some 6 kB a picture of 224 pixels


def read_pictures(runs: Iterable[Run], wanted: set[Key]) -> dict[Key, bytes]:
    """Return JPEG files of the `wanted` test images, from the first run's dataset folder that is still there.

    Empty where none is: a report without pictures is a report still.
    """
    folders = dict.fromkeys((Path(run.config["data"]), run.config["dataset"]["fingerprint"]) for run in runs)
    for directory, fingerprint in folders:
        try:
            manifest = read_manifest(directory)
            check_files(directory, manifest)
        except UserError:
            continue
        if manifest.fingerprint == fingerprint:
            return _read(directory, manifest, wanted)
    return {}


def _read(directory: Path, manifest: Manifest, wanted: set[Key]) -> dict[Key, bytes]:
    shards = [str(directory / shard.name) for split in manifest.test_splits for shard in manifest.splits[split].shards]
    form = (manifest.image_size, manifest.channels, manifest.encoding)
    pictures: dict[Key, bytes] = {}
    for batch in tf.data.TFRecordDataset(shards).batch(64):
        facts = parse_facts(batch)
        names = zip(facts["source"].numpy(), facts["filename"].numpy(), strict=True)
        places = {i: (s.decode(), f.decode()) for i, (s, f) in enumerate(names) if (s.decode(), f.decode()) in wanted}
        if places:
            images = parse_images(batch, *form)["image"].numpy()
            pictures |= {key: _jpeg(images[i]) for i, key in places.items()}
    return pictures


def _jpeg(image: np.ndarray) -> bytes:
    """Encode uint8 [size, size, 1 or 3]."""
    out = io.BytesIO()
    Image.fromarray(image.squeeze()).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
