"""A trained RUN on the splits of a dataset -> probabilities, in the order the images were written."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.evaluation.predictions import Predictions
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.batches import EvaluationBatches
from fastmri_cls.pipeline.examples import Selection, StreamedExamples
from fastmri_cls.records.manifest import Manifest
from fastmri_cls.records.schema import parse_facts

# One size for every evaluation: sums in another order would change the last digits of a probability.
_BATCH = 32


def load_model(path: Path) -> keras.Model:
    """Load model.keras of a RUN in Keras' safe mode.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if not path.exists():
        raise UserError(f"{path}: does not exist; the training of that RUN has not finished")
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, KeyError, OSError, TypeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be loaded ({reason}); it is damaged, train again") from None


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
