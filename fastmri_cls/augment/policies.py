"""What `--augment NAME` means: batch -> batch functions that run on the device, keyed by a stateless seed."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from fastmri_cls.augment.affine import AffineRanges, draw_affine, scale_contrast
from fastmri_cls.augment.layer import RandomAffineBrightness
from fastmri_cls.foundation.errors import UserError


class Batch(NamedTuple):
    """A batch as the step sees it: images [batch, height, width, channels] in 0..255 (uint8 from the pipeline, float32
    when augmented), targets float32 [batch, classes], weights float32 [batch]."""

    images: tf.Tensor
    targets: tf.Tensor
    weights: tf.Tensor


Augmentation = Callable[[Batch, tf.Tensor], Batch]

POLICIES = {"none": None, "paper": AffineRanges(), "paper+flip": AffineRanges(flip=True)}


def make_augmentation(policy: str, *, contrast: float = 1.0, compiled: bool = True) -> Augmentation:
    """Return the augmentation `policy` names, then contrast about the mean; both keyed by a seed int [2].

    Raises:
        UserError: there is no such policy.
    """
    if policy not in POLICIES:
        raise UserError(f"--augment {policy}: unknown; choose one of {', '.join(POLICIES)}")
    ranges = POLICIES[policy]
    layer = RandomAffineBrightness(ranges, seed=0, compiled=compiled) if ranges else None

    @tf.function(jit_compile=compiled)
    def augment(batch: Batch, seed: tf.Tensor) -> Batch:
        images = tf.cast(batch.images, tf.float32)
        if layer is not None:
            count, size = batch.images.shape[0], batch.images.shape[1]
            images = layer.augment_images(batch.images, draw_affine(seed, count, size, layer.ranges))
        if contrast != 1.0:
            images = scale_contrast(images, contrast)
        return batch._replace(images=images)

    return augment
