"""Input pipelines in common use. Each delivers the same batches as our tiers: float32 [32, 224, 224, 3], augmented as
in the notebooks, contrast x1.5, normalised for DenseNet.

If a library lacks an operation, the nearest operation it has is used. The notebooks' shear of 0.05 degrees moves no
pixel by more than a tenth; only ImageDataGenerator and our tiers, where it costs nothing, include it.
"""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import keras_cv
import numpy as np
import tensorflow as tf

from fastmri_cls.augment.affine import AffineRanges
from fastmri_cls.benchmark.measure import Candidate, Timing, images_per_second
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.private_api import DirectoryIterator, ImageDataGenerator, OrderedEnqueuer
from fastmri_cls.foundation.progress import log

BATCH_SIZE = 32
SIZE = 224
CONTRAST = 1.5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet: keras.applications.densenet
_PAPER = AffineRanges()
Layer = Callable[..., tf.Tensor]
_TRIAL = Timing(rounds=1, seconds=2.0, min_batches=6, warm_up=6)


def generator(folder: Path) -> Candidate:
    """ImageDataGenerator as the notebooks use it: one thread."""
    return Candidate("generator", lambda: notebook_batches(folder), "ImageDataGenerator as the notebooks use it")


def generator_with_workers(folder: Path) -> Candidate:
    """ImageDataGenerator with Keras' own workers, in the fastest of three settings, found by short trials."""
    cores = available_cores()
    settings = [(cores, False), (2 * cores, False), (cores, True)]

    def candidate(workers: int, processes: bool) -> Candidate:
        kind = "processes" if processes else "threads"
        return Candidate(
            "generator-workers",
            lambda: _enqueued(folder, workers, processes),
            f"ImageDataGenerator, {workers} {kind}: the best setting",
        )

    trials = [candidate(*setting) for setting in settings]
    rates = [images_per_second(trial, _TRIAL) for trial in trials]
    for trial, rate in zip(trials, rates, strict=True):
        log.info(f"trial  {trial.what.removesuffix(': the best setting'):40} {rate:8,.0f} images/s")
    return trials[int(np.argmax(rates))]


def keras_directory(folder: Path) -> Candidate:
    """image_dataset_from_directory and Keras' preprocessing layers, combined as in its guides."""
    chain = keras_layers()
    return Candidate(
        "keras-directory", lambda: _from_directory(folder, chain), "image_dataset_from_directory + Keras layers"
    )


def keras_cv_chain(folder: Path) -> Candidate:
    """image_dataset_from_directory and keras-cv's preprocessing layers."""
    chain = keras_cv_layers()
    return Candidate(
        "keras-cv-chain", lambda: _from_directory(folder, chain), "image_dataset_from_directory + keras-cv layers"
    )


def torch_albumentations(folder: Path) -> Candidate | None:
    """A PyTorch DataLoader with albumentations; logs the reason and returns None if they are not installed."""
    missing = [name for name in ("torch", "albumentations") if importlib.util.find_spec(name) is None]
    if missing:
        log.info(
            f"torch-albumentations is skipped: {' and '.join(missing)} cannot be imported; "
            "pip install -r benchmarks/requirements-torch.txt"
        )
        return None
    from fastmri_cls.benchmark.torch_baseline import open_loader

    workers = available_cores()
    return Candidate(
        "torch-albumentations",
        lambda: open_loader(folder, workers),
        f"PyTorch DataLoader ({workers} workers) + albumentations",
    )


def keras_layers() -> list[Layer]:
    """Return the paper's augmentation as Keras preprocessing layers."""
    fill: dict[str, str | float] = {"fill_mode": "constant", "fill_value": 0.0}
    low, high = _PAPER.brightness
    return [
        keras.layers.RandomRotation(_PAPER.rotation / 360, **fill),
        keras.layers.RandomTranslation(_PAPER.shift, _PAPER.shift, **fill),
        keras.layers.RandomZoom(_PAPER.zoom, _PAPER.zoom, **fill),
        keras.layers.RandomBrightness((low - 1, high - 1), value_range=(0, 255)),
    ]


def keras_cv_layers() -> list[Layer]:
    """Return the paper's augmentation as keras-cv layers."""
    fill: dict[str, str | float] = {"fill_mode": "constant", "fill_value": 0.0}
    return [
        keras_cv.layers.RandomRotation(_PAPER.rotation / 360, **fill),
        keras_cv.layers.RandomTranslation(_PAPER.shift, _PAPER.shift, **fill),
        keras_cv.layers.RandomZoom(_PAPER.zoom, _PAPER.zoom, **fill),
        keras_cv.layers.RandomBrightness(_PAPER.brightness[1] - 1, value_range=(0, 255)),
    ]


def image_data_generator(preprocessing: Callable[[np.ndarray], np.ndarray] | None = None) -> ImageDataGenerator:
    """Return ImageDataGenerator with the notebooks' settings."""
    return ImageDataGenerator(
        rotation_range=_PAPER.rotation,
        width_shift_range=_PAPER.shift,
        height_shift_range=_PAPER.shift,
        shear_range=_PAPER.shear,
        zoom_range=_PAPER.zoom,
        brightness_range=_PAPER.brightness,
        fill_mode="constant",
        cval=0.0,
        preprocessing_function=preprocessing,
    )


def notebook_batches(folder: Path) -> DirectoryIterator:
    """Return the notebooks' infinite generator over class folders: float32 [32, 224, 224, 3] and one-hot labels."""
    return image_data_generator(_contrast_and_normalise).flow_from_directory(
        folder, target_size=(SIZE, SIZE), batch_size=BATCH_SIZE, class_mode="categorical", seed=0
    )


def _contrast_and_normalise(image: np.ndarray) -> np.ndarray:
    mean = image.mean(axis=(0, 1), keepdims=True)
    return keras.applications.densenet.preprocess_input((image - mean) * CONTRAST + mean)


def _enqueued(folder: Path, workers: int, processes: bool) -> Iterator[Any]:
    batches = notebook_batches(folder)
    queue = OrderedEnqueuer(batches, workers, use_multiprocessing=processes, max_queue_size=10, shuffle=True)
    queue.start()
    try:
        yield from queue.get()
    finally:
        queue.stop()


def _from_directory(folder: Path, chain: list[Layer]) -> Iterator[Any]:
    def finish(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in chain:
            images = layer(images, training=True)
        images = tf.image.adjust_contrast(images, CONTRAST)
        return keras.applications.densenet.preprocess_input(images), labels

    batches = keras.utils.image_dataset_from_directory(
        folder, label_mode="categorical", image_size=(SIZE, SIZE), batch_size=BATCH_SIZE, seed=0, verbose=False
    )
    return iter(batches.repeat().map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))
