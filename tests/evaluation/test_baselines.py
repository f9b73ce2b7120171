"""Shortcut baselines: each against the same computed by hand, and those of metrics.json against scikit-learn's."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.neighbors import KNeighborsClassifier

from fastmri_cls.dataset import Dataset
from fastmri_cls.evaluation.baselines import (
    baseline_accuracies,
    dataset_baselines,
    majority_class,
    metadata_only,
    nearest_neighbour,
)
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.records.schema import parse_facts, parse_images
from fastmri_cls.runs.predictions import Predictions
from fastmri_cls.sources.decode import FileFacts


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
    found = dataset_baselines(Dataset(dataset), ("train",), tests)
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
    found = dataset_baselines(Dataset(dataset), ("train",), tests)

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
    assert dataset_baselines(Dataset(dataset), (), tests) == {}


def test_the_majority_class_is_the_most_frequent():
    assert majority_class(np.array(["b", "a", "b", "c"]), 3).tolist() == ["b", "b", "b"]


def test_the_nearest_neighbour_is_the_one_at_the_smallest_distance():
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 256, (20, 64, 64), np.uint8), rng.integers(0, 256, (9, 64, 64), np.uint8)
    labels = np.arange(20)
    small = [np.array([[image[r : r + 2, c : c + 2].mean() for c in range(0, 64, 2)] for r in range(0, 64, 2)])
             for image in (*train, *test)]  # fmt: skip
    expected = [min(labels, key=lambda i, t=t: np.square(small[i] - t).sum()) for t in small[20:]]
    assert nearest_neighbour(train, labels, test).tolist() == expected


def test_metadata_that_differs_by_class_is_learnt():
    def grey(size: int) -> FileFacts:
        return FileFacts(size, "JPEG", "L", 224, 224)

    def colour(size: int) -> FileFacts:
        return FileFacts(size, "JPEG", "RGB", 224, 224)

    train = [grey(900 + i) for i in range(10)] + [colour(900 + i) for i in range(10)]
    labels = np.array(["healthy"] * 10 + ["tumour"] * 10)
    assert metadata_only(train, labels, [colour(905), grey(905)]).tolist() == ["tumour", "healthy"]


@pytest.fixture
def leaking() -> tuple[np.ndarray, np.ndarray]:
    """Thumbnails and labels of 6 images; 4 and 5 are copies of 0 and 3."""
    thumbnails = np.random.default_rng(1).integers(0, 256, (6, 64, 64), np.uint8)
    thumbnails[4], thumbnails[5] = thumbnails[0], thumbnails[3]
    return thumbnails, np.array(["x", "x", "x", "y", "x", "y"])


def test_copies_alone_give_the_nearest_neighbour_its_accuracy(leaking):
    thumbnails, labels = leaking
    tests = {"a": np.array([4]), "b": np.array([5]), "pooled": np.array([4, 5])}
    found = baseline_accuracies(labels, np.arange(4), tests, thumbnails)
    assert found == {
        "a": {"majority class": 1.0, "1-nearest neighbour": 1.0},
        "b": {"majority class": 0.0, "1-nearest neighbour": 1.0},
        "pooled": {"majority class": 0.5, "1-nearest neighbour": 1.0},
    }


def test_without_training_or_test_images_there_are_no_baselines(leaking):
    thumbnails, labels = leaking
    assert baseline_accuracies(labels, np.arange(0), {"a": np.array([4])}, thumbnails) == {}
    assert baseline_accuracies(labels, np.arange(4), {}, thumbnails) == {}
