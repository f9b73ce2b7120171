"""What learns nothing about tumours, on a dataset folder: the most frequent class, file facts, nearest thumbnails."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.evaluation.metrics import evaluation_sets
from fastmri_cls.evaluation.shortcuts import majority_class, metadata_only, nearest_neighbour
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.runs.predictions import Predictions

_THUMBNAIL = 64  # pixels, what the audit's baselines take


def baseline_accuracies(
    dataset: Dataset, training_splits: tuple[str, ...], tests: Predictions
) -> dict[str, dict[str, float]]:
    """Return {test set: {baseline: accuracy}} for the sets of metrics.json; empty without training images.

    Args:
        tests: of all test splits, in the order written.
    """
    train, labels = _thumbnails(dataset, training_splits)
    if not len(train):
        return {}
    test, _ = _thumbnails(dataset, dataset.manifest.test_splits)
    right = {
        "majority class": majority_class(labels, len(test)) == tests.labels,
        "metadata only": _by_file_facts(dataset, training_splits, tests) == tests.labels,
        "1-nearest neighbour": nearest_neighbour(train, labels, test) == tests.labels,
    }
    found = {
        name: {baseline: float(hit[chosen].mean()) for baseline, hit in right.items()}
        for name, chosen in evaluation_sets(tests).items()
    }
    means = {b: float(np.mean([found[source][b] for source in tests.source_names])) for b in right}
    return found | {"mean": means}


def _by_file_facts(dataset: Dataset, training_splits: tuple[str, ...], tests: Predictions) -> np.ndarray:
    """Return the labels int [n] that the test images' files suggest."""
    rows = read_images_csv(dataset.path)
    train = [row for row in rows if row.split in training_splits]
    of_file = {(row.source, row.filename): row.facts for row in rows}
    test = [of_file[file] for file in zip(tests.sources.tolist(), tests.filenames.tolist(), strict=True)]
    labels = np.array([dataset.classes.index(row.class_name) for row in train])
    return metadata_only([row.facts for row in train], labels, test)


def _thumbnails(dataset: Dataset, splits: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return grey thumbnails uint8 [n, 64, 64] and labels int64 [n]."""
    thumbnails, labels = [np.empty((0, _THUMBNAIL, _THUMBNAIL), np.uint8)], [np.empty(0, np.int64)]
    for images, facts in dataset.records(splits):
        small = tf.image.resize(images, (_THUMBNAIL, _THUMBNAIL), method="area")
        thumbnails.append(np.rint(small.numpy().mean(axis=-1)).astype(np.uint8))
        labels.append(facts.labels)
    return np.concatenate(thumbnails), np.concatenate(labels)
