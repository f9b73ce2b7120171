"""A batch as the step and every augmentation see it."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import tensorflow as tf


class Batch(NamedTuple):
    """Images [batch, height, width, channels] in 0..255 (uint8 from the pipeline, float32 when augmented), targets
    float32 [batch, classes], weights float32 [batch]."""

    images: tf.Tensor
    targets: tf.Tensor
    weights: tf.Tensor


class Rows(NamedTuple):
    """Which rows of a step's batch are here: of several replicas each holds part `number` of `of` equal ones."""

    number: tf.Tensor | int = 0
    of: int = 1


ALL_ROWS = Rows()

# Batch and seed int [2] -> batch: a pure function of both.
Transformation = Callable[[Batch, tf.Tensor], Batch]


class Augmentation(Protocol):
    """Batch (or the rows of it that are here) and seed int [2] -> batch: a pure function of them all."""

    def __call__(self, batch: Batch, seed: tf.Tensor, rows: Rows = ALL_ROWS) -> Batch: ...
