"""What `--augment NAME` means: batch -> batch functions that run on the device, keyed by a stateless seed."""

import tensorflow as tf

from fastmri_cls.augment.affine import AffineRanges, draw_affine, scale_contrast
from fastmri_cls.augment.batch import Augmentation, Batch
from fastmri_cls.augment.chains import make_augmix, make_randaugment
from fastmri_cls.augment.layer import RandomAffineBrightness
from fastmri_cls.augment.mixing import make_mixing
from fastmri_cls.foundation.errors import UserError

MIXING = ("cutmix", "mixup")  # these mix labels too
POLICIES = ("none", "paper", "paper+flip", "randaugment", "augmix", *MIXING)


def make_augmentation(policy: str, *, contrast: float = 1.0, compiled: bool = True) -> Augmentation:
    """Return the augmentation `policy` names, then contrast about the mean; all keyed by a seed int [2].

    `cutmix` and `mixup` mix images that went through `paper`. Call the result in the plain graph: what XLA compiles is
    compiled inside, and Keras' layers, which it cannot compile, run on the same device beside it.

    Args:
        policy: one of POLICIES.
        contrast: factor about each image's mean, 1 for none.
        compiled: resample under XLA; without it by TensorFlow's kernel.

    Raises:
        UserError: there is no such policy.
    """
    if policy not in POLICIES:
        raise UserError(f"--augment {policy}: unknown; choose one of {', '.join(POLICIES)}")
    steps = _steps(policy, compiled)
    stretch = tf.function(scale_contrast, jit_compile=compiled)

    @tf.function
    def augment(batch: Batch, seed: tf.Tensor) -> Batch:
        for number, step in enumerate(steps):
            # The first step has the seed itself, so that adding a second one leaves its draws as they are.
            batch = step(batch, seed if number == 0 else tf.random.experimental.stateless_fold_in(seed, number))
        images = tf.cast(batch.images, tf.float32)
        return batch._replace(images=stretch(images, contrast) if contrast != 1.0 else images)

    return augment


def _steps(policy: str, compiled: bool) -> list[Augmentation]:
    if policy == "none":
        return []
    if policy in ("randaugment", "augmix"):
        chain = make_randaugment() if policy == "randaugment" else make_augmix()
        return [lambda batch, seed: batch._replace(images=chain(batch.images, seed))]
    affine = _affine(AffineRanges(flip=policy == "paper+flip"), compiled)
    return [affine, make_mixing(policy)] if policy in MIXING else [affine]


def _affine(ranges: AffineRanges, compiled: bool) -> Augmentation:
    layer = RandomAffineBrightness(ranges, seed=0, compiled=compiled)

    def augment(batch: Batch, seed: tf.Tensor) -> Batch:
        count, size = batch.images.shape[0], batch.images.shape[1]
        drawn = tf.function(draw_affine, jit_compile=compiled)(seed, count, size, ranges)
        return batch._replace(images=layer.augment_images(batch.images, drawn))

    return augment
