"""What `--augment NAME` means: batch -> batch functions that run on the device, keyed by a stateless seed."""

from collections.abc import Callable

import tensorflow as tf

from fastmri_cls.augment.affine import AffineParameters, AffineRanges, draw_affine, scale_contrast
from fastmri_cls.augment.batch import ALL_ROWS, Augmentation, Batch, Rows, Transformation
from fastmri_cls.augment.chains import make_augmix, make_randaugment
from fastmri_cls.augment.layer import RandomAffineBrightness
from fastmri_cls.augment.mixing import make_mixing
from fastmri_cls.foundation.errors import UserError

MIXING = ("cutmix", "mixup")  # these mix labels too
POLICIES = ("none", "paper", "paper+flip", "randaugment", "augmix", *MIXING)

_Step = Callable[[Batch, tf.Tensor, Rows], Batch]


def make_augmentation(policy: str, *, contrast: float = 1.0, compiled: bool = True) -> Augmentation:
    """Return the augmentation `policy` names, then contrast about the mean; all keyed by a seed int [2].

    `cutmix` and `mixup` mix images that went through `paper`. Call the result in the plain graph: what XLA compiles is
    compiled inside, and Keras' layers, which it cannot compile, run on the same device beside it.

    Of several replicas each draws the affine parameters of the whole batch and takes those of its rows, so that images
    are the same whatever their number. The other policies choose or mix within a replica's rows, with its own draws.

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
    def augment(batch: Batch, seed: tf.Tensor, rows: Rows = ALL_ROWS) -> Batch:
        for number, step in enumerate(steps):
            # The first step has the seed itself, so that adding a second one leaves its draws as they are.
            key = seed if number == 0 else tf.random.experimental.stateless_fold_in(seed, number)
            batch = step(batch, key, rows)
        images = tf.cast(batch.images, tf.float32)
        return batch._replace(images=stretch(images, contrast) if contrast != 1.0 else images)

    return augment


def _steps(policy: str, compiled: bool) -> list[_Step]:
    if policy == "none":
        return []
    if policy in ("randaugment", "augmix"):
        chain = make_randaugment() if policy == "randaugment" else make_augmix()
        return [_by_replica(lambda batch, seed: batch._replace(images=chain(batch.images, seed)))]
    affine = _affine(AffineRanges(flip=policy == "paper+flip"), compiled)
    return [affine, _by_replica(make_mixing(policy))] if policy in MIXING else [affine]


def _by_replica(transform: Transformation) -> _Step:
    """Let each replica draw for itself."""

    def step(batch: Batch, seed: tf.Tensor, rows: Rows) -> Batch:
        own = seed if rows.of == 1 else tf.random.experimental.stateless_fold_in(seed, rows.number)
        return transform(batch, own)

    return step


def _affine(ranges: AffineRanges, compiled: bool) -> _Step:
    layer = RandomAffineBrightness(ranges, seed=0, compiled=compiled)

    def augment(batch: Batch, seed: tf.Tensor, rows: Rows) -> Batch:
        count, size = batch.images.shape[0], batch.images.shape[1]
        drawn = tf.function(draw_affine, jit_compile=compiled)(seed, count * rows.of, size, ranges)
        if rows.of > 1:
            drawn = AffineParameters(*(tf.reshape(column, [rows.of, count])[rows.number] for column in drawn))
        return batch._replace(images=layer.augment_images(batch.images, drawn))

    return augment
