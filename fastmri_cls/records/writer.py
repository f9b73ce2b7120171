"""Writes the examples of a split to TFRecord shards and describes them for dataset.json."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from fastmri_cls.foundation.atomic import naming
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.example import Example
from fastmri_cls.records.manifest import Shard, Split
from fastmri_cls.records.tfrecord import FRAMING, write_record

_EXAMPLES_PER_SHARD = 2048  # 0.1 GB of raw grey 224 px images; TensorFlow's guide recommends 100-200 MB


def write_split(
    directory: Path, name: str, members: Sequence[int], example: Callable[[int], Example], shards: int | None
) -> Split:
    """Write the examples of one split to `name-00000-of-0000N.tfrecord` and so on.

    Args:
        directory: where the shards go.
        name: name of the split.
        members: the arguments of `example`, in the order in which to write.
        example: returns one record.
        shards: number of shards, or None for one per 2048 examples.

    Raises:
        UserError: a shard cannot be written completely, for example because the disk is full.
    """
    count = max(1, min(len(members), shards or -(-len(members) // _EXAMPLES_PER_SHARD)))
    written: list[Shard] = []
    per_class: Counter[str] = Counter()
    per_source: Counter[str] = Counter()
    for number in range(count):
        part = members[number * len(members) // count : (number + 1) * len(members) // count]
        path = directory / f"{name}-{number:05d}-of-{count:05d}.tfrecord"
        size = 0
        with naming(path), path.open("wb") as file:
            for index in part:
                record = example(index)
                serialized = record.serialize()
                write_record(file, serialized)
                size += len(serialized) + FRAMING
                per_class[record.class_name] += 1
                per_source[record.source] += 1
        if path.stat().st_size != size:
            raise UserError(f"{path}: {path.stat().st_size} of {size} bytes reached the disk; check it")
        written.append(Shard(path.name, len(part), size, file_sha256(path)))
    return Split(len(members), dict(per_class), dict(per_source), tuple(written))
