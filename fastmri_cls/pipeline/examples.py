"""What every cache tier gives, and the tier that streams from the shards.

A tier gives batches in the order written, and batches of an endless sequence of shuffled passes, from any position in
it, so that a run can be resumed at any step.

Images stay uint8 with the channels they are stored with. tiers.py has the other tiers and their choice.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.records.manifest import Manifest
from fastmri_cls.records.schema import parse_facts, parse_images, parse_source

_SHARDS_AT_ONCE = 8
PARALLEL_CALLS = available_cores()  # batches parsed or gathered at once
PREFETCHED = 4  # batches ready before they are asked for
_FACTS_AT_ONCE = 256  # records parsed at once where only their names are asked for
# Serialized examples, and the bytes they may take: 4096 of 224 px grey are 0.2 GB, so that streaming stays under 1 GiB.
_SHUFFLE_BUFFER, _SHUFFLE_BYTES = 4096, 1 << 28


@dataclass(frozen=True)
class Selection:
    """Which examples: those of `splits`, of one `source` or of all (None)."""

    splits: tuple[str, ...]
    source: str | None = None

    def count(self, manifest: Manifest) -> int:
        """Return the number of examples, by dataset.json."""
        chosen = [manifest.splits[name] for name in self.splits]
        if self.source is None:
            return sum(split.num_examples for split in chosen)
        return sum(split.per_source.get(self.source, 0) for split in chosen)


@dataclass(frozen=True)
class Position:
    """A place in the endless sequence of passes: `offset` examples into pass number `number`."""

    number: int
    offset: int


@dataclass(frozen=True)
class WorkerShard:
    """One worker's contiguous slice of each global batch.

    Attributes:
        index: number of the worker, from 0.
        num_workers: workers that divide a batch equally.
    """

    index: int = 0
    num_workers: int = 1

    def rows(self, batch_size: int) -> int:
        """Return the number of rows in the slice of a full batch."""
        return batch_size // self.num_workers

    def of(self, batches: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Return this worker's slice of `batches`, tensors of [batch]; the slice of a smaller batch may be empty."""
        if self.num_workers == 1:
            return batches
        rows = self.rows(batch_size)
        return batches.map(lambda batch: batch[self.index * rows : (self.index + 1) * rows])


SINGLE_WORKER = WorkerShard()

Element = dict[str, tf.Tensor]


class Examples(Protocol):
    """A selection of examples. An element of its datasets is a batch: `label` int64 [batch], and what `fetch` makes
    `image` uint8 [batch, size, size, channels] of."""

    count: int

    def fetch(self, element: Element) -> Element:
        """Return `element` with its `image`; called within the step, on the device."""

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """Every example once, in the order written; the last batch may be smaller."""

    def shuffled(self, start: Position, batch_size: int, steps: int, seed: int) -> tf.data.Dataset:
        """`steps` full batches from `start` on; pass k is shuffled by (seed, k) and holds each example once."""

    def files(self) -> list[str]:
        """All files, as SOURCE/FILENAME, in the order written."""

    def files_of_batch(self, start: Position, batch_size: int, seed: int) -> list[str]:
        """The files, as SOURCE/FILENAME, of the first batch of `shuffled`: all rows, those of other workers too."""


class StreamedExamples:
    """Examples read from the shards again for each pass; memory does not grow with the set.

    Of several workers each reads all records, so that batches are the same whatever their number, and decodes its own.
    """

    def __init__(
        self, directory: Path, manifest: Manifest, selection: Selection, worker: WorkerShard = SINGLE_WORKER
    ) -> None:
        self.count = selection.count(manifest)
        self._worker = worker
        self._manifest = manifest
        self._source = selection.source
        self._shards = [str(directory / s.name) for name in selection.splits for s in manifest.splits[name].shards]

    def fetch(self, element: Element) -> Element:
        return element

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        records = self._of_source(tf.data.TFRecordDataset(self._shards))
        return self._parse(self._worker.of(records.batch(batch_size), batch_size)).with_options(input_options())

    def shuffled(self, start: Position, batch_size: int, steps: int, seed: int) -> tf.data.Dataset:
        serialized = self._serialized(start, batch_size, steps, seed)
        return self._parse(self._worker.of(serialized, batch_size)).with_options(input_options())

    def files_of_batch(self, start: Position, batch_size: int, seed: int) -> list[str]:
        return _file_names(self._serialized(start, batch_size, 1, seed))

    def files(self) -> list[str]:
        return _file_names(self._of_source(tf.data.TFRecordDataset(self._shards)).batch(_FACTS_AT_ONCE))

    def _serialized(self, start: Position, batch_size: int, steps: int, seed: int) -> tf.data.Dataset:
        """The records of `shuffled`, string [batch]."""
        passes = -(-(start.offset + steps * batch_size) // self.count)
        records = self._one_pass(pass_seed(seed, start.number))
        for number in range(start.number + 1, start.number + passes):
            records = records.concatenate(self._one_pass(pass_seed(seed, number)))
        # Skipped while still serialized: resuming late in a pass costs its reading, not its decoding.
        return records.skip(start.offset).batch(batch_size, drop_remainder=True).take(steps)

    def _one_pass(self, seed: int) -> tf.data.Dataset:
        """Shards in shuffled order, several read at once, then mixed in a buffer while still serialized.

        tf.data mixes TensorFlow's global seed into `seed`; a run sets that from the same --seed.
        """
        shards = tf.data.Dataset.from_tensor_slices(self._shards).shuffle(len(self._shards), seed=seed)
        records = shards.interleave(tf.data.TFRecordDataset, cycle_length=_SHARDS_AT_ONCE)
        return self._of_source(records).shuffle(self._buffer, seed=seed)

    @property
    def _buffer(self) -> int:
        one = self._manifest.image_size**2 * self._manifest.channels
        return max(1, min(self.count, _SHUFFLE_BUFFER, _SHUFFLE_BYTES // one))

    def _of_source(self, records: tf.data.Dataset) -> tf.data.Dataset:
        if self._source is None:
            return records
        return records.filter(lambda serialized: parse_source(serialized) == self._source)

    def _parse(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        form = (self._manifest.image_size, self._manifest.channels, self._manifest.encoding)
        return batches.map(lambda batch: parse_images(batch, *form), num_parallel_calls=PARALLEL_CALLS)


def _file_names(batches: tf.data.Dataset) -> list[str]:
    """SOURCE/FILENAME of serialized examples."""
    facts = batches.map(parse_facts).with_options(input_options()).as_numpy_iterator()
    names = (zip(batch["source"], batch["filename"], strict=True) for batch in facts)
    return [f"{source.decode()}/{filename.decode()}" for batch in names for source, filename in batch]


def pass_seed(seed: int, number: int) -> int:
    """Return the seed of pass `number`, a non-negative int64, independent from pass to pass."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def input_options() -> tf.data.Options:
    """Return what all datasets run with: elements in a fixed order, and threads of their own, one a core, so that
    decoding never waits behind the step's operations in a shared pool, nor they behind it.

    Nothing is tuned while it runs: an iterator is destroyed only when the tuning thread wakes, which doubles its sleep
    up to a minute (epochs of 25 s took 43).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    options.threading.private_threadpool_size = PARALLEL_CALLS
    return options
