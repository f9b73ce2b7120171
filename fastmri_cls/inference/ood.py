"""How unlike the training images an image is: its distance to their features, in units of what is usual.

Deep nearest neighbours (Sun et al. 2022, arXiv 2204.06507): the pooled features, scaled to length 1, of an image and
of the training images; the distance to the K-th nearest. It is divided by the distance that all but 1 % of the
validation images stay below, so above 1 means: less like the training images than 99 % of images like them.
What training leaves for this stands in novelty.npz of a RUN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.surgery import split_classifier
from fastmri_cls.pipeline.examples import Examples

FILE_NAME = "novelty.npz"
UNLIKE = 1.0
_NEIGHBOUR = 10  # K: 1/1000 of a set like the public ones; Sun et al. take 50 of 50 000
_USUAL = 0.99  # share of validation images below UNLIKE
_MOST_IMAGES = 4096  # of the training set that are kept: 8 MB of DenseNet121's features
_BATCH = 32


@dataclass(frozen=True)
class Reference:
    """`features`: unit float32 [images, d] of training images. `usual`: the distance that scores 1."""

    features: np.ndarray
    usual: float

    def score(self, features: np.ndarray) -> np.ndarray:
        """Return float64 [n] for pooled `features` [n, d]."""
        return _distances(_unit(features), self.features) / self.usual


def fit_reference(training: np.ndarray, held_out: np.ndarray) -> Reference:
    """Return the reference of pooled features [images, d] of training images and of others like them."""
    reference = _unit(training)
    usual = float(np.quantile(_distances(_unit(held_out), reference), _USUAL))
    return Reference(reference, max(usual, float(np.finfo(np.float32).eps)))


def write_reference(run: Path, model: keras.Model, dataset: Dataset, training: Sequence[str], validation: str) -> None:
    """Write novelty.npz into a RUN from the splits it was trained and validated on; one forward pass of each."""
    extract = _make_extract(model)
    reference = fit_reference(
        extract(dataset.examples(training)),
        extract(dataset.examples(validation)),
    )
    with new_file(run / FILE_NAME) as temporary:
        np.savez(temporary, features=reference.features.astype(np.float16), usual=reference.usual)


def read_reference(run: Path) -> Reference | None:
    """Return what `write_reference` wrote, None where the RUN has no novelty.npz.

    Raises:
        UserError: the file is damaged.
    """
    path = run / FILE_NAME
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Reference(_unit(arrays["features"].astype(np.float32)), float(arrays["usual"]))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run evaluate on the dataset of that RUN again") from None


def _make_extract(model: keras.Model) -> Callable[[Examples], np.ndarray]:
    forward = split_classifier(model).forward

    @tf.function(reduce_retracing=True)
    def pooled(images: tf.Tensor) -> tf.Tensor:
        return forward(tf.cast(images, tf.float32), training=False)[0]

    def extract(examples: Examples) -> np.ndarray:
        every = -(-examples.count // _MOST_IMAGES)
        batches = examples.in_order(_BATCH).shard(every, 0).prefetch(tf.data.AUTOTUNE)
        return np.concatenate([pooled(batch["image"]).numpy() for batch in batches])

    return extract


def _unit(features: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)


def _distances(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return float64 [n]: Euclidean distances of unit rows to the K-th nearest row of `reference`."""
    k = min(_NEIGHBOUR, len(reference)) - 1
    cosines = -np.partition(-(features @ reference.T), k, axis=1)[:, k].astype(np.float64)
    return np.sqrt(np.maximum(2 - 2 * cosines, 0))
