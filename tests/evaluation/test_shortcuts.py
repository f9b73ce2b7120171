"""Classifiers that know nothing of tumours, against the same computed by hand."""

import numpy as np
import pytest

from fastmri_cls.evaluation.shortcuts import baseline_accuracies, majority_class, metadata_only, nearest_neighbour
from fastmri_cls.sources.decode import FileFacts


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
