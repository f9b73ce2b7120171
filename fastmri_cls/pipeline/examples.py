"""What every cache tier offers, and the tier that streams from the shards.

A shuffled input pipeline can be one function (shuffle, repeat, batch). Here it is split in three, because a run that
was interrupted continues at any step with exactly the batches it would have seen, whatever the tier:

- A tier (`Examples`) holds the images: in the shards (`StreamedExamples`, here), in memory or on the accelerator
  (tiers.py). It shuffles: the order of an epoch depends on (seed, epoch) alone, so any position can be reached again.
- Batches (batches.py, and keras_fit.py for other people's loops) say which part of that order is one epoch of training
  or validation, and add weights.
- `fetch` completes an element inside the compiled step. The tier `device` needs it: its elements hold indices, and the
  images are gathered where the step computes. The elements of all other tiers are complete already.

Images stay uint8 with the channels they are stored with.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.records.manifest import Manifest
from fastmri_cls.records.schema import parse_facts, parse_images, parse_source

PARALLEL_CALLS = available_cores()  # batches parsed or gathered at the same time
PREFETCHED = 4  # batches that are ready before they are asked for
_SHARDS_AT_ONCE = 8
_FACTS_AT_ONCE = 256  # records parsed at once when only their names are needed
# Serialized examples, and the bytes they may take: 4096 of 224 px grey are 0.2 GB, so that streaming stays under 1 GiB.
_SHUFFLE_BUFFER, _SHUFFLE_BYTES = 4096, 1 << 28
_LAST_EPOCH = 2**31 - 1  # epochs are int32 in the seeds of the augmentation
_SEED_MODULUS = 2**31 - 1  # TensorFlow's own seeds are taken modulo this


@dataclass(frozen=True)
class Selection:
    """Which examples of a dataset.

    Attributes:
        splits: names of the splits.
        source: name of the only source to read, or None for all of them.
    """

    splits: tuple[str, ...]
    source: str | None = None

    def count(self, manifest: Manifest) -> int:
        """Return the number of examples according to dataset.json."""
        chosen = [manifest.splits[name] for name in self.splits]
        if self.source is None:
            return sum(split.num_examples for split in chosen)
        return sum(split.per_source.get(self.source, 0) for split in chosen)


@dataclass(frozen=True)
class Position:
    """A place in the infinite shuffled stream: `offset` examples into `epoch`."""

    epoch: int
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


class Examples(ABC):
    """A selection of examples in one tier.

    An element of its datasets is a batch: `label` int64 [batch], and what `fetch` turns into `image` uint8 [batch,
    size, size, channels]. A tier handles the examples as keys until they are batched: serialized records, or indices.

    Attributes:
        count: number of examples.
        worker: the slice of each batch that is delivered.
        is_resident: whether the images are where the step computes, and elements hold only what finds them.
    """

    count: int
    worker: WorkerShard = SINGLE_WORKER
    is_resident = False

    def fetch(self, element: Element) -> Element:
        """Return `element` with its `image`; called within the step, on the device."""
        return element

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """Return every example once, in the order written; the last batch may be smaller."""
        return self._load(self._written().batch(batch_size), batch_size)

    def stream(self, start: Position, batch_size: int, seed: int) -> tf.data.Dataset:
        """Return full batches of the infinite shuffled stream.

        Each epoch of the stream holds every example once. A batch may hold the end of one epoch and the beginning of
        the next.

        Args:
            start: the first example.
            batch_size: examples in the global batch.
            seed: of the order, 0..2**32 - 1.
        """
        return self._load(self._stream(start, batch_size, seed), batch_size)

    def epochs(
        self, epochs: tf.data.Dataset, batch_size: int, seed: int, steps: int | None = None, first_step: int = 0
    ) -> tf.data.Dataset:
        """Return batches of whole epochs; no batch holds examples of two epochs.

        Args:
            epochs: numbers of the epochs, int64 scalars.
            batch_size: examples in the global batch.
            seed: of the order, 0..2**32 - 1.
            steps: full batches to take from each epoch, or None for all; the last batch may then be smaller.
            first_step: batches to leave out at the beginning of the first epoch.
        """

        def batches(number: tf.Tensor, epoch: tf.Tensor) -> tf.data.Dataset:
            done = tf.where(number == 0, tf.constant(first_step, tf.int64), 0)
            # Skipped while still keys: resuming late in an epoch of streamed examples costs no decoding.
            keys = self._shuffled(epoch, seed).skip(done * batch_size)
            whole = keys.batch(batch_size, drop_remainder=steps is not None)
            return whole if steps is None else whole.take(steps - done)

        return self._load(epochs.enumerate().flat_map(batches), batch_size)

    @property
    def options(self) -> tf.data.Options:
        """What a dataset of this tier must run with; the outermost dataset's options are the ones that count."""
        return input_options()

    @abstractmethod
    def files(self) -> list[str]:
        """Return all files, as SOURCE/FILENAME, in the order written."""

    def files_of_batch(self, start: Position, batch_size: int, seed: int) -> list[str]:
        """Return the files, as SOURCE/FILENAME, of the first batch of `stream`, including other workers' rows."""
        return self._names(self._stream(start, batch_size, seed).take(1).with_options(self.options))

    def _stream(self, start: Position, batch_size: int, seed: int) -> tf.data.Dataset:
        keys = epochs_from(start.epoch).flat_map(lambda epoch: self._shuffled(epoch, seed))
        return keys.skip(start.offset).batch(batch_size, drop_remainder=True)

    def _load(self, batches: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        return self._read(self.worker.of(batches, batch_size)).with_options(self.options)

    @abstractmethod
    def _written(self) -> tf.data.Dataset:
        """Return the keys of all examples in the order written."""

    @abstractmethod
    def _shuffled(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        """Return the keys of all examples, shuffled by `seed` and `epoch`, int64."""

    @abstractmethod
    def _read(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Return the elements of batches of keys."""

    @abstractmethod
    def _names(self, batches: tf.data.Dataset) -> list[str]:
        """Return the files of all keys in batches of them."""


class StreamedExamples(Examples):
    """Examples read from the shards again in each epoch; memory does not grow with the dataset.

    With several workers each reads all records, so that batches do not depend on their number, and decodes its own.
    """

    def __init__(
        self, directory: Path, manifest: Manifest, selection: Selection, worker: WorkerShard = SINGLE_WORKER
    ) -> None:
        self.count = selection.count(manifest)
        self.worker = worker
        self._manifest = manifest
        self._source = selection.source
        self._shards = [str(directory / s.name) for name in selection.splits for s in manifest.splits[name].shards]

    def files(self) -> list[str]:
        return self._names(self._written().batch(_FACTS_AT_ONCE))

    def _written(self) -> tf.data.Dataset:
        return self._of_source(tf.data.TFRecordDataset(self._shards))

    def _shuffled(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        """Shards in shuffled order, several read at once, then mixed in a buffer while still serialized."""
        key = _shuffle_key(seed, epoch)
        shards = _shuffle(tf.data.Dataset.from_tensor_slices(self._shards), len(self._shards), key)
        records = shards.interleave(tf.data.TFRecordDataset, cycle_length=_SHARDS_AT_ONCE)
        return _shuffle(self._of_source(records), self._buffer, key)

    @property
    def _buffer(self) -> int:
        bytes_per_image = self._manifest.image_size**2 * self._manifest.channels
        return max(1, min(self.count, _SHUFFLE_BUFFER, _SHUFFLE_BYTES // bytes_per_image))

    def _of_source(self, records: tf.data.Dataset) -> tf.data.Dataset:
        if self._source is None:
            return records
        return records.filter(lambda serialized: parse_source(serialized) == self._source)

    def _read(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        form = (self._manifest.image_size, self._manifest.channels, self._manifest.encoding)
        return batches.map(lambda batch: parse_images(batch, *form), num_parallel_calls=PARALLEL_CALLS)

    def _names(self, batches: tf.data.Dataset) -> list[str]:
        facts = batches.map(parse_facts).with_options(self.options).as_numpy_iterator()
        names = (zip(batch["source"], batch["filename"], strict=True) for batch in facts)
        return [f"{source.decode()}/{filename.decode()}" for batch in names for source, filename in batch]


def epochs_from(first: int) -> tf.data.Dataset:
    """Return the numbers of all epochs from `first` on, int64 scalars."""
    return tf.data.Dataset.range(first, _LAST_EPOCH)


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch, a non-negative int64; epochs are independent of each other."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _shuffle_key(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Return both seeds of TensorFlow's shuffle, int64 [2].

    They are those of `tf.data.Dataset.shuffle(seed=epoch_seed(seed, epoch))` after `tf.random.set_seed(seed)`.
    """

    def draw(number: np.ndarray) -> np.ndarray:
        pair = np.array([seed % _SEED_MODULUS, epoch_seed(seed, int(number)) % _SEED_MODULUS])
        return pair if pair.any() else np.array([0, _SEED_MODULUS])  # TensorFlow draws (0, 0) at random

    return tf.ensure_shape(tf.numpy_function(draw, [epoch], tf.int64, stateful=False), [2])


def _shuffle(examples: tf.data.Dataset, buffer_size: int, key: tf.Tensor) -> tf.data.Dataset:
    """Shuffle strings by `key` alone.

    `Dataset.shuffle` mixes in TensorFlow's global seed, and fails for a tensor as seed when that is 0. The operation it
    uses, ShuffleDatasetV3, is stateful: inside a function it costs a deterministic run all parallelism of tf.data.
    """
    shuffled = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(examples),
        buffer_size=tf.constant(buffer_size, tf.int64),
        seed=key[0],
        seed2=key[1],
        reshuffle_each_iteration=True,
        output_types=[tf.string],
        output_shapes=[tf.TensorShape([])],
    )
    return tf.data.experimental.from_variant(shuffled, examples.element_spec)


def input_options() -> tf.data.Options:
    """Return the options of all datasets: elements in a fixed order, and a thread pool of their own, one thread a core.

    Decoding then never waits behind the step's operations in a shared pool, nor they behind it. Autotuning is off: an
    iterator is destroyed only when the tuning thread wakes, and that doubles its sleep up to a minute (epochs of 25 s
    took 43).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    options.threading.private_threadpool_size = PARALLEL_CALLS
    return options
