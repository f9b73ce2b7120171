"""A trained RUN on the splits of a dataset -> probabilities, in the order the images were written."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.batches import EvaluationBatches
from fastmri_cls.pipeline.examples import Selection, StreamedExamples
from fastmri_cls.records.manifest import Manifest
from fastmri_cls.records.schema import parse_facts
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


def predict_splits(model: keras.Model, directory: Path, manifest: Manifest, splits: list[str]) -> Predictions:
    """Return the model's predictions on `splits` of the dataset."""
    columns = [_facts(directory, manifest, name) for name in splits]
    probabilities = [_probabilities(model, directory, manifest, name) for name in splits]
    return Predictions(
        splits=np.concatenate([np.full(len(p), name) for name, p in zip(splits, probabilities, strict=True)]),
        sources=np.concatenate([column["source"].astype(str) for column in columns]),
        filenames=np.concatenate([np.char.decode(column["filename"].astype(bytes), "utf-8") for column in columns]),
        groups=np.concatenate([column["group"] for column in columns]),
        clean=np.concatenate([column["clean"].astype(bool) for column in columns]),
        labels=np.concatenate([column["class/label"] for column in columns]),
        probabilities=np.concatenate(probabilities),
        classes=manifest.classes,
    )


def _facts(directory: Path, manifest: Manifest, split: str) -> dict[str, np.ndarray]:
    shards = [str(directory / shard.name) for shard in manifest.splits[split].shards]
    batches = list(tf.data.TFRecordDataset(shards).batch(256).map(parse_facts).as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _probabilities(model: keras.Model, directory: Path, manifest: Manifest, split: str) -> np.ndarray:
    batches = EvaluationBatches(StreamedExamples(directory, manifest, Selection((split,))), _BATCH)

    @tf.function
    def forward(images: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(images, tf.float32), training=False)

    rows = [forward(batch["image"]).numpy() for batch in batches.epoch(0)]
    return np.concatenate(rows)[: manifest.splits[split].num_examples]
