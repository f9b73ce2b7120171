"""CutMix and MixUp by Keras' layers, keyed by the step, with class weights that stay right.

If example a is mixed with b by the fraction s, its loss should be s w_a loss(a) + (1 - s) w_b loss(b). Cross-entropy,
with or without label smoothing, is affine in its targets, so this equals the loss of the targets mixed in proportion
s w_a : (1 - s) w_b, multiplied by s w_a + (1 - s) w_b.
"""

import tensorflow as tf
from keras import layers

from fastmri_cls.augment.batch import Batch, Transformation
from fastmri_cls.augment.keyed import KeyedSeeds


def make_mixing(name: str) -> Transformation:
    """Return `cutmix` (a rectangle of another image) or `mixup` (a blend with another image), with Keras' defaults."""
    layer = layers.CutMix(dtype="float32") if name == "cutmix" else layers.MixUp(dtype="float32")

    def mix(batch: Batch, key: tf.Tensor) -> Batch:
        drawn = layer.get_random_transformation(batch.images, training=True, seed=KeyedSeeds(key))
        images = layer.transform_images(batch.images, drawn, training=True)
        partner = drawn["permutation_order"]
        # CutMix reports the area before it is rounded to whole pixels; the mask has the area that is really shown.
        masks = drawn.get("batch_masks")
        fraction = drawn["mix_weight"] if masks is None else 1 - tf.reduce_mean(tf.cast(masks, tf.float32), (1, 2, 3))
        own = fraction * batch.weights
        other = (1 - fraction) * tf.gather(batch.weights, partner)
        weights = own + other
        targets = own[:, None] * batch.targets + other[:, None] * tf.gather(batch.targets, partner)
        return Batch(images, tf.math.divide_no_nan(targets, weights[:, None]), weights)

    return mix
