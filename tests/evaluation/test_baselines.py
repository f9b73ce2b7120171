"""The baselines in metrics.json against scikit-learn on the dataset's own images."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.neighbors import KNeighborsClassifier

from fastmri_cls.dataset import Dataset
from fastmri_cls.evaluation.baselines import baseline_accuracies
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.records.schema import parse_facts, parse_images
from fastmri_cls.runs.predictions import Predictions


def stored(dataset, splits: list[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Images [n, 64, 64, 1] and facts of some splits, in the order written."""
    manifest = read_manifest(dataset)
    shards = [str(dataset / shard.name) for split in splits for shard in manifest.splits[split].shards]
    (batch,) = tf.data.TFRecordDataset(shards).batch(10_000)
    facts = {name: tensor.numpy() for name, tensor in parse_facts(batch).items()}
    return parse_images(batch, 64, manifest.channels, manifest.encoding)["image"].numpy(), facts


@pytest.fixture(scope="module")
def tests(dataset) -> Predictions:
    """The test images without any model's opinion."""
    manifest = read_manifest(dataset)
    _, facts = stored(dataset, manifest.test_splits)
    count = len(facts["group"])
    return Predictions(
        splits=np.full(count, "test"),
        sources=facts["source"].astype(str),
        filenames=facts["filename"].astype(str),
        groups=facts["group"],
        clean=facts["clean"].astype(bool),
        labels=facts["class/label"],
        probabilities=np.full((count, len(manifest.classes)), 0.25, np.float32),
        classes=manifest.classes,
    )


def test_nearest_neighbour_and_majority_are_scikit_learns(dataset, tests):
    manifest = read_manifest(dataset)
    found = baseline_accuracies(Dataset(dataset), ("train",), tests)
    train, facts = stored(dataset, ["train"])
    test, _ = stored(dataset, manifest.test_splits)

    def small(images):
        return images.reshape(len(images), 32, 2, 32, 2).astype(float).mean(axis=(2, 4)).reshape(len(images), -1)

    neighbours = KNeighborsClassifier(1).fit(small(train), facts["class/label"])
    right = neighbours.predict(small(test)) == tests.labels
    assert found["pooled"]["1-nearest neighbour"] == pytest.approx(right.mean())
    assert found["alpha"]["1-nearest neighbour"] == pytest.approx(right[tests.sources == "alpha"].mean())
    most = np.bincount(facts["class/label"]).argmax()
    assert found["pooled"]["majority class"] == pytest.approx(np.mean(tests.labels == most))
    by_source = [found[source]["1-nearest neighbour"] for source in ("alpha", "beta")]
    assert found["mean"]["1-nearest neighbour"] == pytest.approx(np.mean(by_source))


def test_metadata_only_sees_the_source_files_alone(dataset, phantom_sources, tests):
    manifest = read_manifest(dataset)
    found = baseline_accuracies(Dataset(dataset), ("train",), tests)

    def facts(source: str, filename: str) -> dict[str, object]:
        path = phantom_sources[source] / filename
        with Image.open(path) as image:
            kind = {"format": image.format, "mode": image.mode, "width": image.width, "height": image.height}
        return kind | {"bytes": path.stat().st_size}

    # In the order of images.csv, since a forest draws its samples by their number.
    with (dataset / "images.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    vectorizer = DictVectorizer(sparse=False)
    train = vectorizer.fit_transform([facts(row["source"], row["filename"]) for row in rows])
    forest = RandomForestClassifier(100, random_state=0).fit(train, [row["class"] for row in rows])
    files = zip(tests.sources.tolist(), tests.filenames.tolist(), strict=True)
    guessed = forest.predict(vectorizer.transform([facts(*file) for file in files]))
    right = guessed == np.array(manifest.classes)[tests.labels]
    assert found["pooled"]["metadata only"] == pytest.approx(right.mean())
    assert found["alpha"]["metadata only"] == pytest.approx(right[tests.sources == "alpha"].mean())


def test_without_training_images_there_is_no_baseline(dataset, tests):
    assert baseline_accuracies(Dataset(dataset), (), tests) == {}
