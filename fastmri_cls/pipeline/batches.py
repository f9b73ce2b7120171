"""Examples -> the batches that a step of the training engine takes.

An element has `label` int64 and `weight` float32 [batch], and `image` uint8 once fetched. The weight is the class
weight in training, and 1 or 0 (padding) in evaluation, where every batch is filled up so that one compiled step serves
them all. `batch_size` is that of the global batch; with several workers each gets its own rows of the same batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from fastmri_cls.pipeline.examples import (
    PREFETCHED,
    SINGLE_WORKER,
    Element,
    Examples,
    Position,
    WorkerShard,
    epochs_from,
)

_BATCHES_AHEAD = 2  # on the accelerator: one in the step, one on its way


@dataclass(frozen=True)
class TrainingBatches:
    """The training stream.

    Attributes:
        examples: the images.
        batch_size: examples in the global batch.
        steps_per_epoch: full batches in an epoch.
        class_weights: weight of an example by its label.
        seed: of the order.
        endless: whether an epoch continues where the last one ended. Otherwise it is a new shuffle of all examples,
            and what does not fill `steps_per_epoch` batches is left out.
        worker: this worker's slice of each batch, that of `examples`.
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
        return self.stream(epoch, first_step).take(self.steps_per_epoch - first_step)

    def stream(self, epoch: int, first_step: int = 0) -> tf.data.Dataset:
        """Return the batches from `first_step` of `epoch` on and those of all later epochs."""
        if self.endless:
            batches = self.examples.stream(self._position(epoch, first_step), self.batch_size, self.seed)
        else:
            batches = self.examples.epochs(
                epochs_from(epoch), self.batch_size, self.seed, self.steps_per_epoch, first_step
            )
        rows, weights = self.worker.rows(self.batch_size), tf.constant(self.class_weights, tf.float32)
        return batches.map(lambda batch: _full(batch | {"weight": tf.gather(weights, batch["label"])}, rows)).prefetch(
            PREFETCHED
        )

    def files(self, epoch: int, step: int) -> list[str]:
        """Return the files of one step's batch, as SOURCE/FILENAME, by going through the order again."""
        return self.examples.files_of_batch(self._position(epoch, step), self.batch_size, self.seed)

    def _position(self, epoch: int, step: int) -> Position:
        if self.endless:
            position = (epoch * self.steps_per_epoch + step) * self.batch_size
            return Position(*divmod(position, self.examples.count))
        return Position(epoch, step * self.batch_size)


@dataclass(frozen=True)
class EvaluationBatches:
    """All examples in the order written; the last batch is padded with examples of weight 0.

    Attributes:
        examples: the images.
        batch_size: examples in the global batch.
        worker: this worker's slice of each batch, that of `examples`.
    """

    examples: Examples
    batch_size: int
    worker: WorkerShard = SINGLE_WORKER

    @property
    def count(self) -> int:
        """Number of batches in an epoch."""
        return -(-self.examples.count // self.batch_size)

    def epoch(self, epoch: int) -> tf.data.Dataset:
        """Return all batches, the same in every epoch."""
        return self.stream(epoch).take(self.count)

    def stream(self, epoch: int) -> tf.data.Dataset:
        """Return the batches of `epoch` and of all later epochs."""
        return self.examples.in_order(self.batch_size).map(self._pad).repeat().prefetch(PREFETCHED)

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
    """Validation as in the published notebooks: a window over the batches of an unshuffled test set.

    In epoch e (from 0) the window starts at batch `count + 1` * e modulo the number of batches: each validation of the
    notebooks consumed one batch more than it used (this explains all 154 logged epochs, see the README).

    Attributes:
        whole: all batches of the test set.
        count: batches in the window.
    """

    whole: EvaluationBatches
    count: int

    @property
    def examples(self) -> Examples:
        """The images."""
        return self.whole.examples

    def epoch(self, epoch: int) -> tf.data.Dataset:
        """Return the window of `epoch`."""
        return self.stream(epoch).take(self.count)

    def stream(self, epoch: int) -> tf.data.Dataset:
        """Return the windows of `epoch` and of all later epochs."""
        consumed = self.count + 1
        batches = self.whole.stream(0).skip(consumed * epoch % self.whole.count).enumerate()
        return batches.filter(lambda number, _: number % consumed != self.count).map(lambda _, batch: batch)


def _full(batch: Element, rows: int) -> Element:
    """State the number of rows, which parsing forgets: a compiled step needs static shapes."""
    return {name: tf.ensure_shape(tensor, [rows, *tensor.shape[1:]]) for name, tensor in batch.items()}


def prefetch_to_accelerator(batches: tf.data.Dataset, examples: Examples) -> tf.data.Dataset:
    """Return `batches` of `examples`, copied ahead of the step to the only GPU; this must be the last transformation.

    Several GPUs get their rows in another way (training/replicas.py). Without one the batches are where they are
    needed, and so are the images of the tier `device`, whose few indices are not worth a copying thread.
    """
    accelerators = accelerator_names()
    if len(accelerators) != 1 or examples.is_resident:
        return batches
    return batches.apply(tf.data.experimental.prefetch_to_device(accelerators[0], _BATCHES_AHEAD))


def accelerator_names() -> list[str]:
    """Return the names of the GPUs that TensorFlow sees."""
    return [device.name for device in tf.config.list_logical_devices("GPU")]
