"""Every byte, record and label of a dataset folder against its dataset.json, and its sources against images.csv."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import tensorflow as tf

from fastmri_cls.foundation.progress import track
from fastmri_cls.records.manifest import Manifest, Shard, Split
from fastmri_cls.records.schema import parse_facts
from fastmri_cls.records.writer import file_sha256

_BATCH = 256


def find_problems(directory: Path, manifest: Manifest) -> list[str]:
    """Return one line for each thing that is not as dataset.json says; an empty list is a sound dataset."""
    problems: list[str] = []
    shards = [(split, shard) for split in manifest.splits.values() for shard in split.shards]
    for _, shard in track(shards, "verifying shards", len(shards)):
        problems += _shard_problems(directory / shard.name, shard, manifest)
    if not problems:
        for name, split in manifest.splits.items():
            problems += _count_problems(directory, name, split)
    known = {shard.name for _, shard in shards}
    problems += [
        f"{path.name}: is no shard of dataset.json; remove it"
        for path in sorted(directory.glob("*.tfrecord"))
        if path.name not in known
    ]
    return problems


def find_stale_sources(directory: Path, manifest: Manifest) -> list[str]:
    """Return one line for each source file that is gone, new, or changed in size or date since the build."""
    raise NotImplementedError
