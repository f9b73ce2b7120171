"""A batch as the training step and every augmentation see it."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import tensorflow as tf


class Batch(NamedTuple):
    """One batch.

    Attributes:
        images: [batch, height, width, channels] in 0..255; uint8 from the pipeline, float32 after augmentation.
        targets: float32 [batch, classes].
        weights: float32 [batch].
    """

    images: tf.Tensor
    targets: tf.Tensor
    weights: tf.Tensor


class ReplicaSlice(NamedTuple):
    """The part of a step's batch that one replica holds: slice `index` of `num_replicas` equal ones."""

    index: tf.Tensor | int = 0  # type: ignore[assignment] # hides tuple.index
    num_replicas: int = 1


WHOLE_BATCH = ReplicaSlice()

# Batch and seed int [2] -> batch: a pure function of both.
Transformation = Callable[[Batch, tf.Tensor], Batch]


class Augmentation(Protocol):
    """Batch (or one replica's slice of it) and seed int [2] -> batch: a pure function of all three."""

    def __call__(self, batch: Batch, seed: tf.Tensor, part: ReplicaSlice = WHOLE_BATCH) -> Batch: ...
