"""Examples -> the batches a step takes: `label` int64 and `weight` float32 [batch], and `image` uint8 once fetched.

The weight carries the class weight in training, and 1 or 0 (padding) in evaluation, where every batch is filled up so
that one compiled step serves them all. `batch_size` is that of the global batch; with several workers each gets
its own rows of the same batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from fastmri_cls.pipeline.examples import PREFETCHED, SINGLE_WORKER, Element, Examples, Position, WorkerShard

_BATCHES_AHEAD = 2  # on the accelerator: one in the step, one on its way


@dataclass(frozen=True)
class TrainingBatches:
    """The training stream: `steps_per_epoch` batches an epoch.

    An epoch is a fresh pass without its incomplete last batch, or (`endless`) goes on where the last one ended.
    """

    examples: Examples
    batch_size: int
    steps_per_epoch: int
    class_weights: Sequence[float]
    seed: int
    endless: bool = False
    worker: WorkerShard = SINGLE_WORKER

    def epoch(self, epoch: int, first_step: int = 0) -> tf.data.Dataset:
        """Return the batches of `epoch` from `first_step` on."""
        start, rows = self._start(epoch, first_step), self.worker.rows(self.batch_size)
        weights = tf.constant(self.class_weights, tf.float32)
        return (
            self.examples.shuffled(start, self.batch_size, self.steps_per_epoch - first_step, self.seed)
            .map(lambda batch: _full(batch | {"weight": tf.gather(weights, batch["label"])}, rows))
            .prefetch(PREFETCHED)
        )

    def files(self, epoch: int, step: int) -> list[str]:
        """Return the files of one step's batch, as SOURCE/FILENAME, found by going through the order again."""
        return self.examples.files_of_batch(self._start(epoch, step), self.batch_size, self.seed)

    def _start(self, epoch: int, step: int) -> Position:
        if self.endless:
            position = (epoch * self.steps_per_epoch + step) * self.batch_size
            return Position(*divmod(position, self.examples.count))
        return Position(epoch, step * self.batch_size)


@dataclass(frozen=True)
class EvaluationBatches:
    """The examples in the order written; the last batch is padded with examples of weight 0."""

    examples: Examples
    batch_size: int
    worker: WorkerShard = SINGLE_WORKER

    @property
    def count(self) -> int:
        """Batches a pass."""
        return -(-self.examples.count // self.batch_size)

    def epoch(self, epoch: int) -> tf.data.Dataset:
        """Return all batches, the same in every epoch."""
        return self.examples.in_order(self.batch_size).map(self._pad).prefetch(PREFETCHED)

    def _pad(self, batch: Element) -> Element:
        rows = self.worker.rows(self.batch_size)
        present = tf.shape(batch["label"])[0]
        missing = rows - present
        padded = {
            name: tf.pad(tensor, [[0, missing], *[[0, 0]] * (tensor.shape.rank - 1)]) for name, tensor in batch.items()
        }
        padded["weight"] = tf.cast(tf.range(rows) < present, tf.float32)
        return _full(padded, rows)


@dataclass(frozen=True)
class SlidingWindowBatches:
    """The published notebooks' validation: `count` batches of an unshuffled set that goes on from epoch to epoch.

    In epoch e (from 0) the window starts at batch `count + 1` * e modulo the set's batches: each epoch's validation
    consumed one batch more than it used (the fit that explains all 154 logged epochs, see the README).
    """

    whole: EvaluationBatches
    count: int

    @property
    def examples(self) -> Examples:
        """Where the images come from."""
        return self.whole.examples

    def epoch(self, epoch: int) -> tf.data.Dataset:
        """Return the window of `epoch`."""
        start = (self.count + 1) * epoch % self.whole.count
        return self.whole.epoch(epoch).repeat().skip(start).take(self.count)


def _full(batch: Element, rows: int) -> Element:
    """State the number of rows, which parsing forgets: a compiled step wants static shapes."""
    return {name: tf.ensure_shape(tensor, [rows, *tensor.shape[1:]]) for name, tensor in batch.items()}


def prefetch_to_accelerator(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Return `batches`, copied to the GPU ahead of the step where there is exactly one; the last transformation.

    With several, each replica gets its rows later; on a CPU they are where they belong. Never run on a real GPU, only
    towards a second logical CPU.
    """
    accelerators = accelerator_names()
    if len(accelerators) != 1:
        return batches
    return batches.apply(tf.data.experimental.prefetch_to_device(accelerators[0], _BATCHES_AHEAD))


def accelerator_names() -> list[str]:
    """Return the names of the GPUs TensorFlow sees."""
    return [device.name for device in tf.config.list_logical_devices("GPU")]
