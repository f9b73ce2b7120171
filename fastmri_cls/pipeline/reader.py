"""Stored records as numpy arrays, in the order they were written: for everything that is not a training.

Reads what training reads, by the same parsers. Each function checks the number of records against dataset.json.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.examples import PARALLEL_CALLS, input_options
from fastmri_cls.records.manifest import Manifest
from fastmri_cls.records.schema import parse_facts, parse_images

_RECORDS_AT_ONCE = 256


@dataclass(frozen=True)
class Facts:
    """What the records say about their images, one entry per image in every column.

    Attributes:
        splits: name of the split, str [n].
        labels: index into the dataset's classes, int64 [n].
        class_names: str [n].
        sources: name of the source, str [n].
        filenames: path relative to the source's folder, str [n].
        sha256: hash of the decoded source pixels, str [n].
        groups: images with the same number are near-duplicates or belong to one patient, int64 [n].
        clean: whether no training or validation image is in the group, bool [n].
    """

    splits: np.ndarray
    labels: np.ndarray
    class_names: np.ndarray
    sources: np.ndarray
    filenames: np.ndarray
    sha256: np.ndarray
    groups: np.ndarray
    clean: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def read_facts(directory: Path, manifest: Manifest, splits: Sequence[str]) -> Facts:
    """Return the facts of all images of `splits`; no pixel is decoded."""
    parts = [_facts(split, columns) for split, columns in _read(directory, manifest, splits, _RECORDS_AT_ONCE, False)]
    none = _facts("", {name: np.empty(0, np.int64) for name in _COLUMNS.values()})
    return Facts(*(np.concatenate([getattr(part, f.name) for part in parts or [none]]) for f in fields(Facts)))


def read_records(
    directory: Path, manifest: Manifest, splits: Sequence[str], batch_size: int
) -> Iterator[tuple[np.ndarray, Facts]]:
    """Yield batches of images, uint8 [n, size, size, channels], and their facts; a batch holds one split only."""
    for split, columns in _read(directory, manifest, splits, batch_size, True):
        yield columns["image"], _facts(split, columns)


def read_images(
    directory: Path, manifest: Manifest, splits: Sequence[str], indices: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Return chosen images; only these are decoded.

    Args:
        directory: the dataset folder.
        manifest: its dataset.json.
        splits: the splits that are counted through, in this order.
        indices: numbers from 0 of the wanted images, in any order.

    Returns:
        uint8 [len(indices), size, size, channels], in the order of `indices`.
    """
    form = (manifest.image_size, manifest.channels, manifest.encoding)
    wanted, places = np.unique(np.asarray(indices, np.int64), return_inverse=True)
    parts = [np.empty((0, manifest.image_size, manifest.image_size, manifest.channels), np.uint8)]
    start = 0
    serialized = tf.data.TFRecordDataset(_shards(directory, manifest, splits)).batch(_RECORDS_AT_ONCE)
    for batch in serialized.with_options(input_options()):
        first, end = np.searchsorted(wanted, [start, start + len(batch)])
        chosen = wanted[first:end] - start
        start += len(batch)
        if len(chosen):
            parts.append(parse_images(tf.gather(batch, chosen), *form)["image"].numpy())
    images = np.concatenate(parts)
    if len(images) != len(wanted):
        raise UserError(f"{directory}: has {start} records in {'+'.join(splits)}, no number {wanted[-1]}; run verify")
    return images[places]


# The columns of Facts after `splits`, and the features they are read from.
_COLUMNS = {
    "labels": "class/label",
    "class_names": "class/text",
    "sources": "source",
    "filenames": "filename",
    "sha256": "sha256",
    "groups": "group",
    "clean": "clean",
}


def _read(
    directory: Path, manifest: Manifest, splits: Sequence[str], batch_size: int, with_images: bool
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield batches of one split after the other as (its name, columns by feature name)."""
    form = (manifest.image_size, manifest.channels, manifest.encoding)

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        facts = parse_facts(serialized)
        return facts | parse_images(serialized, *form) if with_images else facts

    for split in splits:
        count = 0
        records = tf.data.TFRecordDataset(_shards(directory, manifest, [split])).batch(batch_size)
        batches = records.map(parse, num_parallel_calls=PARALLEL_CALLS).with_options(input_options())
        for columns in batches.as_numpy_iterator():
            count += len(columns["source"])
            yield split, columns
        expected = manifest.splits[split].num_examples
        if count != expected:
            raise UserError(
                f"{directory}: {count} records in {split}, dataset.json says {expected}; "
                "rebuild with build-tfrecords --force"
            )


def _shards(directory: Path, manifest: Manifest, splits: Sequence[str]) -> list[str]:
    return [str(directory / shard.name) for split in splits for shard in manifest.splits[split].shards]


def _facts(split: str, columns: dict[str, np.ndarray]) -> Facts:
    found = {name: columns[feature] for name, feature in _COLUMNS.items()}
    texts = {name: _text(column) for name, column in found.items() if name not in ("labels", "groups", "clean")}
    numbers = {"labels": found["labels"], "groups": found["groups"], "clean": found["clean"].astype(bool)}
    return Facts(splits=np.full(len(found["labels"]), split), **texts, **numbers)


def _text(column: np.ndarray) -> np.ndarray:
    return np.array([value.decode() for value in column], dtype=str)
