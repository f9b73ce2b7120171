"""A trained RUN on the splits of a dataset -> probabilities, in the order the images were written."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.batches import EvaluationBatches
from fastmri_cls.runs.predictions import Predictions

# One size for every evaluation: sums in another order would change the last digits of a probability.
_BATCH = 32


# What zipfile, h5py and Keras raise when a file's bytes make no sense or ask for what safe mode forbids.
_UNLOADABLE = (
    ValueError, KeyError, IndexError, AttributeError, OSError, TypeError, RuntimeError, NotImplementedError,
    ImportError, RecursionError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def load_model(run: Path, config: dict[str, Any]) -> keras.Model:
    """Load model.keras of a RUN in Keras' safe mode.

    Raises:
        UserError: there is none, it is damaged, or it is not the model that the RUN's `config` describes.
    """
    path = run / "model.keras"
    if not path.exists():
        raise UserError(f"{path}: does not exist; the training of that RUN has not finished")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # Keras reads weights here and there, and would not notice a flipped bit
        if damaged:
            raise zipfile.BadZipFile(f"bad checksum of {damaged}")
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except _UNLOADABLE as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be loaded ({reason}); it is damaged or not from train: train again") from None
    size, channels, classes = config["image_size"], config["channels"], len(config["classes"])
    if model.input_shape != (None, size, size, channels) or model.output_shape != (None, classes):
        raise UserError(
            f"{path}: takes {model.input_shape[1:]} and tells {model.output_shape[-1]} classes, config.json says "
            f"({size}, {size}, {channels}) and {classes}; one of them was changed: train again"
        )
    return model


def predict_splits(model: keras.Model, dataset: Dataset, splits: list[str]) -> Predictions:
    """Return the model's predictions on `splits` of the dataset."""
    facts = dataset.facts(splits)
    return Predictions(
        splits=facts.splits,
        sources=facts.sources,
        filenames=facts.filenames,
        groups=facts.groups,
        clean=facts.clean,
        labels=facts.labels,
        probabilities=np.concatenate([_probabilities(model, dataset, name) for name in splits]),
        classes=dataset.classes,
    )


def _probabilities(model: keras.Model, dataset: Dataset, split: str) -> np.ndarray:
    batches = EvaluationBatches(dataset.examples(split), _BATCH)

    @tf.function
    def forward(images: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(images, tf.float32), training=False)

    rows = [forward(batch["image"]).numpy() for batch in batches.epoch(0)]
    return np.concatenate(rows)[: dataset.count(split)]
