"""A model on the splits of a dataset -> predictions, in the order the images were written."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.gpus import inference_batch
from fastmri_cls.foundation.overlap import one_ahead
from fastmri_cls.pipeline.batches import EvaluationBatches, prefetch_to_accelerator
from fastmri_cls.runs.predictions import Predictions

if TYPE_CHECKING:
    import keras


def predict_splits(model: "keras.Model", dataset: Dataset, splits: Sequence[str]) -> Predictions:
    """Return the predictions of a model on splits of a dataset.

    Args:
        model: images float32 [n, size, size, channels] of 0..255 -> probabilities [n, classes].
        dataset: with the model's classes, image size and channels.
        splits: names of splits.
    """
    probabilities = np.concatenate([_probabilities(model, dataset, name) for name in splits])
    return Predictions.of(dataset, splits, probabilities)


def _probabilities(model: "keras.Model", dataset: Dataset, split: str) -> np.ndarray:
    batches = EvaluationBatches(dataset.examples(split), inference_batch())

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def forward(images: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(images, tf.float32), training=False)

    ahead = prefetch_to_accelerator(batches.epoch(0), batches.examples)
    rows = [result.numpy() for result in one_ahead(forward(batch["image"]) for batch in ahead)]
    return np.concatenate(rows)[: dataset.count(split)]
