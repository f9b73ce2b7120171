"""Training images -> the reference of out-of-distribution scores in a RUN: one forward pass over what it trained on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.inference.ood import fit_reference
from fastmri_cls.models.surgery import split_classifier
from fastmri_cls.pipeline.examples import Examples

_MAX_IMAGES = 4096  # training images that are kept: 8 MB of DenseNet121's features
_BATCH = 32


def write_reference(path: Path, model: keras.Model, dataset: Dataset, training: Sequence[str], validation: str) -> None:
    """Write the reference of a RUN; takes one forward pass over its training and validation images.

    Args:
        path: `Run.ood_reference`.
        model: of the RUN.
        dataset: it was trained on.
        training: splits it was trained on.
        validation: split it was validated on.
    """
    extract = _make_extract(model)
    reference = fit_reference(extract(dataset.examples(training)), extract(dataset.examples(validation)))
    with new_file(path) as temporary:
        np.savez(temporary, features=reference.features.astype(np.float16), unit_distance=reference.unit_distance)


def kept_positions(count: int) -> np.ndarray:
    """Return the number, in the order written, of the image behind each row of a reference, int64 [rows].

    Args:
        count: training images of the dataset.
    """
    every = _batches_between(count)
    batches = np.arange(count) // _BATCH
    return np.flatnonzero(batches % every == 0)


def _batches_between(count: int) -> int:
    """Return n such that every n-th batch is kept."""
    return -(-count // _MAX_IMAGES)


def _make_extract(model: keras.Model) -> Callable[[Examples], np.ndarray]:
    forward = split_classifier(model).forward

    @tf.function(reduce_retracing=True, autograph=False)
    def pooled(images: tf.Tensor) -> tf.Tensor:
        return forward(tf.cast(images, tf.float32), training=False)[0]

    def extract(examples: Examples) -> np.ndarray:
        batches = examples.in_order(_BATCH).shard(_batches_between(examples.count), 0).prefetch(tf.data.AUTOTUNE)
        return np.concatenate([pooled(batch["image"]).numpy() for batch in batches])

    return extract
