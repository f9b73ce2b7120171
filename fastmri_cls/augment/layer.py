"""The fused augmentation as a keras-cv layer.

Called, it draws for itself; the training engine draws by (seed, epoch, step) and only applies (`augment_images`).
"""

from typing import Any

import tensorflow as tf
from keras_cv.layers import VectorizedBaseImageAugmentationLayer

from fastmri_cls.augment.affine import AffineParameters, AffineRanges, apply_affine, draw_affine


class RandomAffineBrightness(VectorizedBaseImageAugmentationLayer):
    """Rotation, shift, shear, zoom and brightness in one resampling of [batch, height, width, channels] in 0..255.

    Example:
        >>> layer = RandomAffineBrightness(AffineRanges(), seed=0)
        >>> layer(images)  # the n-th call draws from (seed, n)

    Args:
        ranges: how far each parameter may go.
        seed: of the draws.
        compiled: resample under XLA, in place of TensorFlow's kernel.
    """

    def __init__(self, ranges: AffineRanges, seed: int, *, compiled: bool = True, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        self.seed = seed
        self.ranges = ranges
        self.compiled = compiled
        self._calls = tf.Variable(0, dtype=tf.int64, trainable=False)

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **_: Any) -> AffineParameters:
        """Draw the parameters of the next batch."""
        key = tf.stack([tf.constant(self.seed, tf.int64), self._calls.assign_add(1)])
        return draw_affine(key, batch_size, images.shape[1], self.ranges)

    def augment_images(self, images: tf.Tensor, transformations: AffineParameters, **_: Any) -> tf.Tensor:
        """Apply `transformations` to images in whole levels 0..255; returns float32, whole levels too."""
        return apply_affine(tf.cast(images, tf.uint8), transformations, compiled=self.compiled)

    def augment_labels(self, labels: tf.Tensor, transformations: AffineParameters, **_: Any) -> tf.Tensor:
        """Return `labels`: no transformation changes a class."""
        return labels
