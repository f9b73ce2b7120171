"""Every byte, record and label of a dataset folder against its dataset.json."""

from collections import Counter
from pathlib import Path

import tensorflow as tf

from fastmri_cls.foundation.progress import track
from fastmri_cls.records.manifest import Manifest, Shard, Split
from fastmri_cls.records.schema import parse_facts, parse_images
from fastmri_cls.records.writer import file_sha256

_BATCH = 256


def find_problems(directory: Path, manifest: Manifest) -> list[str]:
    """Return one line for each thing that is not as dataset.json says; an empty list is a sound dataset."""
    problems: list[str] = []
    shards = [(split, shard) for split in manifest.splits.values() for shard in split.shards]
    for _, shard in track(shards, "verifying shards", len(shards)):
        problems += _shard_problems(directory / shard.name, shard)
    if not problems:  # what is damaged cannot be read
        for name, split in track(manifest.splits.items(), "reading splits", len(manifest.splits)):
            problems += _split_problems(directory, name, split, manifest)
    known = {shard.name for _, shard in shards}
    problems += [
        f"{path.name}: is no shard of dataset.json; remove it"
        for path in sorted(directory.glob("*.tfrecord"))
        if path.name not in known
    ]
    return problems


def _shard_problems(path: Path, shard: Shard) -> list[str]:
    """Check one file: that it is there, its bytes and its checksum."""
    cure = "rebuild with build-tfrecords --force"
    if not path.is_file():
        return [f"{shard.name}: is missing; {cure}"]
    size = path.stat().st_size
    if size != shard.bytes:
        return [f"{shard.name}: {size} bytes, dataset.json says {shard.bytes}; {cure}"]
    if file_sha256(path) != shard.sha256:
        return [f"{shard.name}: its sha256 is not dataset.json's, so its bytes have changed; {cure}"]
    return []


def _split_problems(directory: Path, name: str, split: Split, manifest: Manifest) -> list[str]:
    """Read one split as training does, and compare its counts, labels and images with dataset.json."""
    per_class: Counter[str] = Counter()
    per_source: Counter[str] = Counter()
    problems = []
    shards = [str(directory / shard.name) for shard in split.shards]
    for serialized in tf.data.TFRecordDataset(shards).batch(_BATCH):
        try:
            facts = {key: value.numpy() for key, value in parse_facts(serialized).items()}
            form = (manifest.image_size, manifest.channels, manifest.encoding)
            images = parse_images(serialized, *form)["image"]
        except tf.errors.InvalidArgumentError as error:
            return [f"{name}: a record does not parse ({error.message[:120]}); rebuild with build-tfrecords --force"]
        if images.shape[0] != len(facts["source"]):
            problems.append(f"{name}: images of another size than {manifest.image_size}")
        names = facts["class/text"].astype(str)
        per_class.update(names.tolist())
        per_source.update(facts["source"].astype(str).tolist())
        expected = [manifest.classes.index(n) if n in manifest.classes else -1 for n in names]
        if (facts["class/label"] != expected).any():
            problems.append(f"{name}: a label's number and its text disagree with the classes of dataset.json")
    for what, counted, said in (("class", per_class, split.per_class), ("source", per_source, split.per_source)):
        if counted != Counter(said):
            problems.append(f"{name}: images by {what} are {dict(counted)}, dataset.json says {said}")
    return problems
