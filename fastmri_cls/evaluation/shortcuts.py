"""What leakage and shortcuts alone give: classifiers that learn nothing about tumours. scikit-learn does the work.

A network has to beat them by a margin before its accuracy says anything.
"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from fastmri_cls.sources.decode import FileFacts

_NEIGHBOUR_SIZE = 32  # pixels, square
_TREES = 100


def baseline_accuracies(
    labels: np.ndarray,
    train: np.ndarray,
    tests: dict[str, np.ndarray],
    thumbnails: np.ndarray,
    facts: Sequence[FileFacts] | None = None,
) -> dict[str, dict[str, float]]:
    """Return the accuracy of each baseline on each test set: {test set: {baseline: accuracy}}.

    Without training images or test sets there is none.

    Args:
        labels: str or int [n]. train: the images to learn from, int [t]. tests: name -> images, int.
        thumbnails: uint8 [n, 64, 64], see `fingerprint`. facts: [n], None where the files are not known.
    """
    if not len(train) or not tests:
        return {}
    together = np.concatenate(list(tests.values()))
    guesses = {
        "majority class": majority_class(labels[train], len(together)),
        "metadata only": metadata_only([facts[i] for i in train], labels[train], [facts[i] for i in together])
        if facts
        else None,
        "1-nearest neighbour": nearest_neighbour(thumbnails[train], labels[train], thumbnails[together]),
    }
    ends = np.cumsum([len(images) for images in tests.values()])
    return {
        name: {
            baseline: float((guess[end - len(images) : end] == labels[images]).mean())
            for baseline, guess in guesses.items()
            if guess is not None
        }
        for (name, images), end in zip(tests.items(), ends, strict=True)
    }


def majority_class(train_labels: np.ndarray, count: int) -> np.ndarray:
    """Return the most frequent training label, `count` times."""
    from sklearn.dummy import DummyClassifier

    model = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(train_labels), 1)), train_labels)
    return model.predict(np.zeros((count, 1)))


def nearest_neighbour(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return the label of the training thumbnail nearest to each test thumbnail, by pixels at 32 x 32.

    Args:
        train, test: uint8 [n, 64, 64].
    """
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(1, algorithm="brute").fit(_flat(train), train_labels)
    return model.predict(_flat(test))


def metadata_only(train: Sequence[FileFacts], train_labels: np.ndarray, test: Sequence[FileFacts]) -> np.ndarray:
    """Return the labels a random forest gives by the files' format, mode, width, height and bytes alone."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(DictVectorizer(sparse=False), RandomForestClassifier(_TREES, random_state=0))
    return model.fit([asdict(facts) for facts in train], train_labels).predict([asdict(facts) for facts in test])


def _flat(thumbnails: np.ndarray) -> np.ndarray:
    """Return float32 [n, 32 * 32]: the means of blocks of thumbnails uint8 [n, 64, 64]."""
    block = thumbnails.shape[1] // _NEIGHBOUR_SIZE
    shape = (len(thumbnails), _NEIGHBOUR_SIZE, block, _NEIGHBOUR_SIZE, block)
    return thumbnails.reshape(shape).mean(axis=(2, 4), dtype=np.float32).reshape(len(thumbnails), -1)
