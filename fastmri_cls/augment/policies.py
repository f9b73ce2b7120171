"""What `--augment NAME` means: batch -> batch functions that run on the device, keyed by a stateless seed."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from fastmri_cls.augment.affine import AffineParameters, draw_affine, scale_contrast
from fastmri_cls.augment.batch import WHOLE_BATCH, Augmentation, Batch, ReplicaSlice, Transformation
from fastmri_cls.augment.chains import make_augmix, make_randaugment
from fastmri_cls.augment.keyed import fold_in
from fastmri_cls.augment.layer import RandomAffineBrightness
from fastmri_cls.augment.mixing import make_mixing
from fastmri_cls.augment.names import MIXING, POLICIES
from fastmri_cls.foundation.errors import UserError

_Stage = Callable[[Batch, tf.Tensor, ReplicaSlice], Batch]


@tf.autograph.experimental.do_not_convert
def step_seed(seed: int, epoch: int | tf.Tensor, step: int | tf.Tensor) -> tf.Tensor:
    """Return the seed of the draws of one training step, int32 [2], computed on the host (keyed.py says why).

    Args:
        seed: of the run, 0 to 2^32 - 1.
        epoch: from 0, counted over both phases.
        step: of the epoch, from 0.
    """
    wrapped = np.uint32(seed).view(np.int32)  # an integer above 2^31 becomes int64 outside a graph, int32 within
    with tf.device("CPU:0"):
        pair = tf.stack([wrapped, epoch])
    return fold_in(pair, step)


def make_augmentation(policy: str, *, contrast: float = 1.0, compiled: bool = True) -> Augmentation:
    """Return the augmentation that `policy` names, followed by a contrast change; all keyed by a seed int [2].

    `cutmix` and `mixup` mix images that went through `paper`. Call the result in the plain graph: the parts that XLA
    can compile are compiled inside, and Keras' layers, which it cannot compile, run on the same device beside them.

    Each of several replicas draws the affine parameters of the whole batch and takes those of its slice, so images are
    the same for any number of replicas. The other policies choose or mix within a replica's slice, with its own draws.

    Args:
        policy: one of POLICIES.
        contrast: factor about each image's mean, 1 for no change.
        compiled: resample under XLA instead of by TensorFlow's kernel.

    Raises:
        UserError: the policy is unknown.
    """
    if policy not in POLICIES:
        raise UserError(f"--augment {policy}: unknown; choose one of {', '.join(POLICIES)}")
    stages = _stages(policy, compiled)
    stretch = tf.function(scale_contrast, jit_compile=compiled, autograph=False)

    @tf.function(autograph=False)
    def augment(batch: Batch, seed: tf.Tensor, part: ReplicaSlice = WHOLE_BATCH) -> Batch:
        for number, stage in enumerate(stages):
            # The first stage gets the seed itself, so adding a second one leaves its draws unchanged.
            key = seed if number == 0 else fold_in(seed, number)
            batch = stage(batch, key, part)
        images = tf.cast(batch.images, tf.float32)
        return batch._replace(images=stretch(images, contrast) if contrast != 1.0 else images)

    return augment


def _stages(policy: str, compiled: bool) -> list[_Stage]:
    if policy == "none":
        return []
    if policy in ("randaugment", "augmix"):
        chain = make_randaugment() if policy == "randaugment" else make_augmix()
        return [_per_replica(lambda batch, seed: batch._replace(images=chain(batch.images, seed)))]
    affine = _affine(RandomAffineBrightness(flip=policy == "paper+flip", compiled=compiled))
    return [affine, _per_replica(make_mixing(policy))] if policy in MIXING else [affine]


def _per_replica(transform: Transformation) -> _Stage:
    """Let each replica draw for itself."""

    def stage(batch: Batch, seed: tf.Tensor, part: ReplicaSlice) -> Batch:
        own = seed if part.num_replicas == 1 else fold_in(seed, part.index)
        return transform(batch, own)

    return stage


def _affine(layer: RandomAffineBrightness) -> _Stage:
    draw = tf.function(draw_affine, jit_compile=layer.compiled, autograph=False)

    def stage(batch: Batch, seed: tf.Tensor, part: ReplicaSlice) -> Batch:
        count, size, replicas = batch.images.shape[0], batch.images.shape[1], part.num_replicas
        drawn = draw(seed, count * replicas, size, layer.ranges)
        if replicas > 1:
            drawn = AffineParameters(*(tf.reshape(column, [replicas, count])[part.index] for column in drawn))
        return batch._replace(images=layer.augment_images(batch.images, drawn))

    return stage
