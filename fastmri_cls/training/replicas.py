"""One step on the replicas of a `tf.distribute.Strategy`: slices of the batch go out, sums come back.

With one replica every method passes its arguments through, so the engine reads the same for one device and for many.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from fastmri_cls.augment.batch import WHOLE_BATCH, ReplicaSlice
from fastmri_cls.pipeline.batches import prefetch_to_accelerator
from fastmri_cls.pipeline.examples import Element, Examples


class Replicas:
    """The replicas of a strategy, on this worker and on others; replica r holds the r-th equal slice of each batch.

    Args:
        strategy: the one in whose scope the model was made.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        self.count: int = strategy.num_replicas_in_sync
        self._here = len(strategy.extended.worker_devices) if self.count > 1 else 1

    @property
    def span_workers(self) -> bool:
        """Whether some replicas are in other processes."""
        return self._here < self.count

    def iterate(self, batches: tf.data.Dataset, examples: Examples) -> Iterator[Element]:
        """Return an iterator over endless `batches` of `examples`, which are copied to the devices ahead of the step.

        With several replicas in this process alone, an element holds each one's rows (see `rows`).
        """
        if self.count == 1 or self.span_workers:
            return iter(prefetch_to_accelerator(batches, examples))

        def apart(element: Element) -> Element:
            return {
                name: tf.reshape(tensor, [self.count, tensor.shape[0] // self.count, *tensor.shape[1:]])
                for name, tensor in element.items()
            }

        rows = batches.map(apart).unbatch().apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        # With batches that may end, each step would first ask every replica for another one.
        return iter(self.strategy.distribute_datasets_from_function(lambda _: rows))

    @tf.autograph.experimental.do_not_convert  # nor what it calls: of a step, AutoGraph has nothing to convert
    def sum(self, function: Callable[..., tf.Tensor], *arguments: Any) -> tf.Tensor:
        """Call `function` on every replica with the same arguments, and return the sum of its results."""
        if self.count == 1:
            return function(*arguments)
        results = self.strategy.run(function, arguments)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, results, axis=None)

    def slice(self) -> ReplicaSlice:
        """Return the slice of the step's batch that this replica holds; call it within `sum`."""
        return WHOLE_BATCH if self.count == 1 else ReplicaSlice(_replica_index(), self.count)

    def rows(self, element: Element) -> Element:
        """Return this replica's rows of an element of `iterate`; call it within `sum`."""
        if self.count == 1 or not self.span_workers:
            return element

        def rows(tensor: tf.Tensor) -> tf.Tensor:
            # On the host, where the input pipeline leaves the batch: each accelerator gets only its own rows.
            with tf.device("/device:CPU:0"):
                parts = tf.reshape(tensor, [self._here, tensor.shape[0] // self._here, *tensor.shape[1:]])
                return tf.gather(parts, _replica_index() % self._here)

        return {name: rows(tensor) for name, tensor in element.items()}


class RunningMean(keras.metrics.Mean):
    """A mean that is given sums over all replicas."""

    @tf.autograph.experimental.do_not_convert
    def add(self, total: tf.Tensor, count: tf.Tensor | float) -> None:
        """Count `count` more values whose sum is `total`."""
        self.total.assign_add(total)
        self.count.assign_add(count)


def _replica_index() -> tf.Tensor:
    """Return the index of the running replica, counted over all workers."""
    return tf.distribute.get_replica_context().replica_id_in_sync_group
