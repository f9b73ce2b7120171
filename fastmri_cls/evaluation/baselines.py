"""Shortcut baselines: majority class, file metadata only, 1-nearest neighbour on thumbnails.

They learn nothing about tumours; leaked duplicates and shortcuts in the files are all they can use. A model must beat
them clearly. scikit-learn does the work.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from fastmri_cls.dataset import Dataset
from fastmri_cls.evaluation.sets import MEAN, evaluation_sets
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.runs.predictions import Predictions
from fastmri_cls.sources.decode import FileFacts

_THUMBNAIL = 64  # pixels, square; as in `Fingerprint`
_NEIGHBOUR = 32  # pixels, square, at which neighbours are compared
_TREES = 100


def baseline_accuracies(
    labels: np.ndarray,
    train: np.ndarray,
    tests: Mapping[str, np.ndarray],
    thumbnails: np.ndarray,
    facts: Sequence[FileFacts] | None = None,
) -> dict[str, dict[str, float]]:
    """Return the accuracy of each baseline on each test set.

    Args:
        labels: str or int [n], one for each image.
        train: numbers of the training images, int [t].
        tests: {test set: numbers of its images, int}.
        thumbnails: uint8 [n, 64, 64].
        facts: file facts [n]; None, and no metadata baseline, where the files are not known.

    Returns:
        {test set: {baseline: accuracy}}; empty without training images or test sets.
    """
    if not len(train) or not tests:
        return {}
    tested = np.concatenate(list(tests.values()))
    guesses = {"majority class": majority_class(labels[train], len(tested))}
    if facts:
        guesses["metadata only"] = metadata_only([facts[i] for i in train], labels[train], [facts[i] for i in tested])
    guesses["1-nearest neighbour"] = nearest_neighbour(thumbnails[train], labels[train], thumbnails[tested])
    accuracies: dict[str, dict[str, float]] = {}
    start = 0
    for name, images in tests.items():
        end = start + len(images)
        accuracies[name] = {
            baseline: float((guess[start:end] == labels[images]).mean()) for baseline, guess in guesses.items()
        }
        start = end
    return accuracies


def dataset_baselines(
    dataset: Dataset, training_splits: Sequence[str], tests: Predictions
) -> dict[str, dict[str, float]]:
    """Return the accuracy of each baseline on the test sets of a dataset, as in metrics.json.

    Args:
        dataset: the dataset.
        training_splits: the splits the baselines learn from.
        tests: the images of all test splits; their probabilities are not used.

    Returns:
        {test set: {baseline: accuracy}}, with the mean over sources; empty without training images.
    """
    splits = (*training_splits, *dataset.manifest.test_splits)
    stored = dataset.facts(splits)
    number = {file: i for i, file in enumerate(_files(stored.sources, stored.filenames))}
    # In the order of images.csv, whatever the shards' order: a forest draws its samples by their numbers.
    rows = [row for row in read_images_csv(dataset.path) if (row.source, row.filename) in number]
    order = [number[row.source, row.filename] for row in rows]
    place = {(row.source, row.filename): i for i, row in enumerate(rows)}
    tested = np.array([place[file] for file in _files(tests.sources, tests.filenames)])
    found = baseline_accuracies(
        labels=stored.labels[order],
        train=np.flatnonzero(np.isin(stored.splits[order], training_splits)),
        tests={name: tested[chosen] for name, chosen in evaluation_sets(tests).items()},
        thumbnails=np.concatenate([_thumbnails(images) for images, _ in dataset.records(splits)])[order],
        facts=[row.facts for row in rows],
    )
    if not found:
        return {}
    by_source = [found[source] for source in tests.source_names]
    return found | {MEAN: {name: float(np.mean([accuracy[name] for accuracy in by_source])) for name in by_source[0]}}


def majority_class(train_labels: np.ndarray, count: int) -> np.ndarray:
    """Return the most frequent training label, `count` times."""
    from sklearn.dummy import DummyClassifier

    model = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(train_labels), 1)), train_labels)
    return np.asarray(model.predict(np.zeros((count, 1))))


def nearest_neighbour(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return the label of the training thumbnail nearest to each test thumbnail, by pixels at 32 x 32.

    Args:
        train: uint8 [t, 64, 64].
        train_labels: str or int [t].
        test: uint8 [n, 64, 64].

    Returns:
        str or int [n].
    """
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(1, algorithm="brute").fit(_flat(train), train_labels)
    return np.asarray(model.predict(_flat(test)))


def metadata_only(train: Sequence[FileFacts], train_labels: np.ndarray, test: Sequence[FileFacts]) -> np.ndarray:
    """Return the labels a random forest predicts from format, mode, width, height and bytes of the files alone.

    Args:
        train: facts of the training files, [t].
        train_labels: str or int [t].
        test: facts of the test files, [n].

    Returns:
        str or int [n].
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(DictVectorizer(sparse=False), RandomForestClassifier(_TREES, random_state=0))
    model.fit([asdict(facts) for facts in train], train_labels)
    return np.asarray(model.predict([asdict(facts) for facts in test]))


def _files(sources: np.ndarray, filenames: np.ndarray) -> Iterator[tuple[str, str]]:
    return zip(sources.tolist(), filenames.tolist(), strict=True)


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Return grey thumbnails uint8 [n, 64, 64] of stored images uint8 [n, size, size, channels]."""
    import tensorflow as tf

    small = tf.image.resize(images, (_THUMBNAIL, _THUMBNAIL), method="area")
    return np.asarray(np.rint(small.numpy().mean(axis=-1)), dtype=np.uint8)


def _flat(thumbnails: np.ndarray) -> np.ndarray:
    """Return float32 [n, 32 * 32]: the means of blocks of thumbnails uint8 [n, 64, 64]."""
    block = thumbnails.shape[1] // _NEIGHBOUR
    shape = (len(thumbnails), _NEIGHBOUR, block, _NEIGHBOUR, block)
    means: np.ndarray = thumbnails.reshape(shape).mean(axis=(2, 4), dtype=np.float32)
    return means.reshape(len(thumbnails), -1)
