"""What people use today, each delivering the batches our tiers deliver: float32 [32, 224, 224, 3], the notebooks'
augmentation, contrast x1.5, DenseNet's normalisation.

Where a library lacks an operation, its nearest one stands in. The notebooks' shear of 0.05 degrees moves no pixel by
more than a tenth; only ImageDataGenerator and our tiers, for which it is free, are asked for it.
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
from fastmri_cls.benchmark.measure import Contestant, Timing, images_per_second
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


def generator(folder: Path) -> Contestant:
    """ImageDataGenerator as the notebooks use it: one thread."""
    return Contestant("generator", lambda: notebook_batches(folder), "ImageDataGenerator as the notebooks use it")


def generator_with_workers(folder: Path) -> Contestant:
    """ImageDataGenerator with Keras' own workers: the best of some settings, found by a short trial of each."""
    cores = available_cores()
    settings = [(cores, False), (2 * cores, False), (cores, True)]

    def contestant(workers: int, processes: bool) -> Contestant:
        kind = "processes" if processes else "threads"
        return Contestant(
            "generator-workers",
            lambda: _enqueued(folder, workers, processes),
            f"ImageDataGenerator, {workers} {kind}: the best setting",
        )

    trials = [contestant(*setting) for setting in settings]
    rates = [images_per_second(trial, _TRIAL) for trial in trials]
    for trial, rate in zip(trials, rates, strict=True):
        log.info(f"trial  {trial.what.removesuffix(': the best setting'):40} {rate:8,.0f} images/s")
    return trials[int(np.argmax(rates))]


def keras_directory(folder: Path) -> Contestant:
    """image_dataset_from_directory and Keras' preprocessing layers, as its guides put them together."""
    chain = keras_layers()
    return Contestant(
        "keras-directory", lambda: _from_directory(folder, chain), "image_dataset_from_directory + Keras layers"
    )


def keras_cv_chain(folder: Path) -> Contestant:
    """The same with keras-cv's layers."""
    chain = keras_cv_layers()
    return Contestant(
        "keras-cv-chain", lambda: _from_directory(folder, chain), "image_dataset_from_directory + keras-cv layers"
    )


def torch_albumentations(folder: Path) -> Contestant | None:
    """A PyTorch DataLoader with albumentations; None, with a word why, where they are not installed."""
    missing = [name for name in ("torch", "albumentations") if importlib.util.find_spec(name) is None]
    if missing:
        log.info(
            f"torch-albumentations is left out: {' and '.join(missing)} cannot be imported; "
            "pip install -r benchmarks/requirements-torch.txt"
        )
        return None
    from fastmri_cls.benchmark.torch_peer import open_loader

    workers = available_cores()
    return Contestant(
        "torch-albumentations",
        lambda: open_loader(folder, workers),
        f"PyTorch DataLoader ({workers} workers) + albumentations",
    )


def keras_layers() -> list[Layer]:
    """The paper's augmentation in Keras' preprocessing layers."""
    fill: dict[str, str | float] = {"fill_mode": "constant", "fill_value": 0.0}
    low, high = _PAPER.brightness
    return [
        keras.layers.RandomRotation(_PAPER.rotation / 360, **fill),
        keras.layers.RandomTranslation(_PAPER.shift, _PAPER.shift, **fill),
        keras.layers.RandomZoom(_PAPER.zoom, _PAPER.zoom, **fill),
        keras.layers.RandomBrightness((low - 1, high - 1), value_range=(0, 255)),
    ]


def keras_cv_layers() -> list[Layer]:
    """The paper's augmentation in keras-cv's layers."""
    fill: dict[str, str | float] = {"fill_mode": "constant", "fill_value": 0.0}
    return [
        keras_cv.layers.RandomRotation(_PAPER.rotation / 360, **fill),
        keras_cv.layers.RandomTranslation(_PAPER.shift, _PAPER.shift, **fill),
        keras_cv.layers.RandomZoom(_PAPER.zoom, _PAPER.zoom, **fill),
        keras_cv.layers.RandomBrightness(_PAPER.brightness[1] - 1, value_range=(0, 255)),
    ]


def image_data_generator(preprocessing: Callable[[np.ndarray], np.ndarray] | None = None) -> ImageDataGenerator:
    """ImageDataGenerator with the notebooks' settings."""
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
    """Return the notebooks' generator over class folders: float32 [32, 224, 224, 3] and one-hot labels, endlessly."""
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
