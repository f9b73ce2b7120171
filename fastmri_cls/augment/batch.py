"""A batch as the step and every augmentation see it."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Batch(NamedTuple):
    """Images [batch, height, width, channels] in 0..255 (uint8 from the pipeline, float32 when augmented), targets
    float32 [batch, classes], weights float32 [batch]."""

    images: tf.Tensor
    targets: tf.Tensor
    weights: tf.Tensor


# Batch and seed int [2] -> batch: a pure function of both.
Augmentation = Callable[[Batch, tf.Tensor], Batch]
