"""Examples -> (images, one-hot labels) for `keras.Model.fit`, `evaluate` and `predict`, augmented in the pipeline.

The training engine of this package augments within its step (batches.py). Here the same functions run in the input
pipeline, so that any loop that iterates a `tf.data.Dataset` can use them.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Augmentation, Batch
from fastmri_cls.pipeline.examples import PARALLEL_CALLS, PREFETCHED, Element, Examples


@dataclass(frozen=True)
class FitBatches:
    """Batches for other people's training loops.

    Attributes:
        examples: the images, in a tier whose elements are complete (not `device`).
        num_classes: length of a one-hot label.
        batch_size: examples in a batch; the last one of an epoch may be smaller.
        augment: applied to every batch, with a seed that depends on (seed, epoch, step) alone, as in the engine.
        seed: of order and augmentation.
        shuffle: whether each epoch has an order of its own.
        rgb: whether grey images get three equal channels.
    """

    examples: Examples
    num_classes: int
    batch_size: int
    augment: Augmentation
    seed: int
    shuffle: bool
    rgb: bool

    def dataset(self, first_epoch: int) -> tf.data.Dataset:
        """Return a dataset whose n-th iterator (from 0) delivers epoch `first_epoch` + n."""
        steps = -(-self.examples.count // self.batch_size)
        batches = _next_epoch(first_epoch).flat_map(self._epoch)
        counted = batches.apply(tf.data.experimental.assert_cardinality(steps))
        return counted.prefetch(PREFETCHED).with_options(self.examples.options)

    def _epoch(self, epoch: tf.Tensor) -> tf.data.Dataset:
        if self.shuffle:
            batches = self.examples.epochs(tf.data.Dataset.from_tensors(epoch), self.batch_size, self.seed)
        else:
            batches = self.examples.in_order(self.batch_size)

        def finish(step: tf.Tensor, element: Element) -> tuple[tf.Tensor, tf.Tensor]:
            return self._finish(element, epoch, step)

        return batches.enumerate().map(finish, num_parallel_calls=PARALLEL_CALLS)

    def _finish(self, element: Element, epoch: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seeds = tf.random.experimental.stateless_fold_in([self.seed, tf.cast(epoch, tf.int32)], tf.cast(step, tf.int32))
        targets = tf.one_hot(element["label"], self.num_classes)

        def augmented(rows: int) -> tuple[tf.Tensor, tf.Tensor]:
            # Drawing needs a static number of rows.
            images, labels = (tf.ensure_shape(t, [rows, *t.shape[1:]]) for t in (element["image"], targets))
            batch = self.augment(Batch(images, labels, tf.ones([rows])), seeds)
            return batch.images, batch.targets

        full, rest = divmod(self.examples.count, self.batch_size)
        if rest == 0 or full == 0:
            images, labels = augmented(rest or self.batch_size)
        else:
            images, labels = tf.cond(step < full, lambda: augmented(self.batch_size), lambda: augmented(rest))
        return (tf.repeat(images, 3, axis=3) if self.rgb and images.shape[3] == 1 else images), labels


def _next_epoch(first: int) -> tf.data.Dataset:
    """Return a dataset of a single number, int64: `first` for its first iterator, and one more for each later one.

    An iterator counts when its first element is asked for: Keras' `fit` makes some that it never uses.
    """
    numbers = itertools.count(first)

    def draw() -> np.ndarray:
        return np.array(next(numbers), np.int64)

    def number(_: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(draw, [], tf.int64), [])

    return tf.data.Dataset.from_tensors(0).map(number)
