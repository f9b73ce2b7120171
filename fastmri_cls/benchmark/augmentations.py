"""`benchmark augment`: augmentation alone, from decoded images in memory to augmented float32 images in 0..255."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Augmentation, Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.benchmark import baselines
from fastmri_cls.benchmark.baselines import BATCH_SIZE, SIZE, Layer
from fastmri_cls.benchmark.inputs import prepare
from fastmri_cls.benchmark.measure import Candidate, Result, Timing, run
from fastmri_cls.pipeline.examples import Position

_BATCHES = 4
_CLASSES = 4


def benchmark_augment(source: Path, timing: Timing) -> Result:
    """Measure the paper's augmentation in several libraries and our other policies, on images of `source`.

    Raises:
        UserError: `source` has no class folders.
    """
    grey, rgb = _images(source)
    candidates = [
        Candidate("generator", lambda: _generator(rgb), "ImageDataGenerator's transforms, RGB"),
        _chain("keras-layers", "Keras' preprocessing layers, RGB", baselines.keras_layers(), rgb),
        _chain("keras-cv-chain", "keras-cv's layers, RGB", baselines.keras_cv_layers(), rgb),
        _ours("projective-rgb", "ours in TensorFlow's own kernel, RGB", "paper", rgb, compiled=False),
        _ours("projective", "ours in TensorFlow's own kernel, grey", "paper", grey, compiled=False),
        _ours("fused-rgb", "ours under XLA, RGB", "paper", rgb),
        _ours("fused", "ours under XLA, grey: --augment paper", "paper", grey),
        *(
            _ours(policy, f"ours, grey: --augment {policy}", policy, grey)
            for policy in ("randaugment", "augmix", "cutmix", "mixup")
        ),
    ]
    return run(f"Augmentation: {SIZE} px, batches of {BATCH_SIZE}, the paper's parameters", candidates, timing)


def _images(source: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return some batches of images: as grey and as RGB."""
    with prepare(source, "raw") as material:
        examples = material.dataset.examples("train")
        batches = examples.stream(Position(0, 0), BATCH_SIZE, seed=0).take(_BATCHES).as_numpy_iterator()
        grey = [batch["image"][..., :1] for batch in batches]
    return grey, [np.repeat(batch, 3, axis=3) for batch in grey]


def _generator(batches: list[np.ndarray]) -> Iterator[np.ndarray]:
    transform = baselines.image_data_generator().random_transform
    for images in itertools.cycle([batch.astype(np.float32) for batch in batches]):
        yield np.stack([transform(image) for image in images])


def _chain(name: str, what: str, layers: list[Layer], batches: list[np.ndarray]) -> Candidate:
    @tf.function
    def augment(images: tf.Tensor) -> tf.Tensor:
        for layer in layers:
            images = layer(images, training=True)
        return images

    return Candidate(name, lambda: _calls(augment, [tf.cast(batch, tf.float32) for batch in batches]), what)


def _ours(name: str, what: str, policy: str, batches: list[np.ndarray], *, compiled: bool = True) -> Candidate:
    augment: Augmentation = make_augmentation(policy, compiled=compiled)
    targets, weights = tf.one_hot(np.arange(BATCH_SIZE) % _CLASSES, _CLASSES), tf.ones(BATCH_SIZE)
    steps = itertools.count()

    def call(images: tf.Tensor) -> Batch:
        return augment(Batch(images, targets, weights), tf.constant([0, next(steps)]))

    return Candidate(name, lambda: _calls(call, [tf.constant(batch) for batch in batches]), what, kind="ours")


def _calls(function: Callable[[tf.Tensor], object], batches: list[tf.Tensor]) -> Iterator[object]:
    for images in itertools.cycle(batches):
        yield function(images)
