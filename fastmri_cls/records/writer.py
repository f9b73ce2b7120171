"""A split's examples -> its TFRecord shards and their entry in the manifest."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from fastmri_cls.records.manifest import Shard, Split
from fastmri_cls.records.schema import Example

_EXAMPLES_PER_SHARD = 2048  # 0.1 GB of raw grey 224 px images: the 100-200 MB TensorFlow's guide recommends


def write_split(
    directory: Path, name: str, members: Sequence[int], example: Callable[[int], Example], shards: int | None
) -> Split:
    """Write `example(i)` for each of `members`, in that order, to `name-00000-of-0000N.tfrecord`.

    Args:
        shards: how many; None makes one for every 2048 examples.
    """
    count = max(1, min(len(members), shards or -(-len(members) // _EXAMPLES_PER_SHARD)))
    written: list[Shard] = []
    per_class: Counter[str] = Counter()
    per_source: Counter[str] = Counter()
    for number in range(count):
        part = members[number * len(members) // count : (number + 1) * len(members) // count]
        path = directory / f"{name}-{number:05d}-of-{count:05d}.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for index in part:
                record = example(index)
                writer.write(record.serialize())
                per_class[record.class_name] += 1
                per_source[record.source] += 1
        written.append(Shard(path.name, len(part), path.stat().st_size, file_sha256(path)))
    return Split(len(members), dict(per_class), dict(per_source), tuple(written))


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
