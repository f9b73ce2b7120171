"""A step shared by the replicas of a `tf.distribute.Strategy`: rows of the batch out, sums and rows back.

With one replica every method hands on what it is given, so that the engine reads the same for one device and for many.
The several-replica lines were run on logical CPUs and on CPU workers, never on GPUs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from fastmri_cls.augment.batch import ALL_ROWS, Batch, Rows

_SEED_STRIDE = 7919  # between the seeds of replicas; a prime, so that no layer's seed meets another's by design


class Replicas:
    """The replicas of `strategy`, here and on other workers; replica r holds the r-th of equal parts of each batch."""

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        self.count: int = strategy.num_replicas_in_sync
        self._here = len(strategy.extended.worker_devices) if self.count > 1 else 1

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call `function` on every replica; what it is given is the same on all of a worker's."""
        return function(*arguments) if self.count == 1 else self.strategy.run(function, arguments)

    def rows(self) -> Rows:
        """Within `run`: which rows of the step's batch this replica holds."""
        return ALL_ROWS if self.count == 1 else Rows(_replica(), self.count)

    def part(self, batch: Batch) -> Batch:
        """Within `run`: return this replica's rows of its worker's batch."""
        if self.count == 1:
            return batch

        def rows(tensor: tf.Tensor) -> tf.Tensor:
            # On the host, where the input pipeline leaves them: each accelerator is sent its own rows alone.
            with tf.device("/device:CPU:0"):
                parts = tf.reshape(tensor, [self._here, tensor.shape[0] // self._here, *tensor.shape[1:]])
                return tf.gather(parts, _replica() % self._here)

        return Batch(*(rows(tensor) for tensor in batch))

    def place(self, *columns: tf.Tensor) -> Any:
        """Within `run`: prepare this replica's `columns`, each [rows], for `join`."""
        if self.count == 1:
            return columns
        stacked = tf.stack([tf.cast(column, tf.float32) for column in columns])[:, None, :]
        own = tf.range(self.count)[None, :, None] == _replica()
        return tf.reshape(tf.where(own, stacked, 0.0), [len(columns), -1])

    def join(self, placed: Any) -> list[tf.Tensor]:
        """Return the columns of all replicas' rows in the batch's order, each [batch], float32 if of several."""
        return list(placed) if self.count == 1 else tf.unstack(self.total(placed))

    def total(self, value: Any) -> tf.Tensor:
        """Return the sum of what `run` gave on each replica."""
        return value if self.count == 1 else self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)

    @contextmanager
    def own_draws(self, variables: list[keras.Variable]) -> Iterator[None]:
        """Let dropout and the like draw differently on every replica, by moving the seeds among `variables`.

        The first replica's, which checkpoints hold, stay as they are.
        """
        seeds = [variable.value for variable in variables if variable.name == "seed_generator_state"]

        @tf.function
        def move(way: tf.Tensor) -> None:
            for seed in seeds:
                own = tf.cast(_replica() * way * _SEED_STRIDE, seed.dtype)
                seed.assign_add(tf.stack([own, tf.zeros_like(own)]))

        self._move(move, 1)
        yield
        self._move(move, -1)

    def _move(self, move: Callable[[tf.Tensor], None], way: int) -> None:
        if self.count > 1:
            self.strategy.run(move, (tf.constant(way),))


def _replica() -> tf.Tensor:
    """The number of the replica that is running, over all workers."""
    return tf.distribute.get_replica_context().replica_id_in_sync_group
