"""Doubtful labels: images whose label disagrees with a classifier that has not seen them or their duplicates.

A linear classifier on the features of a frozen backbone predicts every image out of fold. Folds keep groups of
duplicates and patients whole, so that a duplicate never scores its twin. cleanlab ranks the labels by how little the
prediction supports them (confident learning: Northcutt, Jiang, Chuang, JAIR 70, 2021).
"""

import importlib.util
from dataclasses import dataclass

import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra

FOLDS = 5
_COMPONENTS = 256  # principal components of the features; keeps the linear classifier at seconds a fold
_REGULARISATION = 0.1  # scikit-learn's C; strong, since a wrong label must not be fitted


@dataclass(frozen=True)
class LabelScores:
    """How well out-of-fold predictions support the label of each image.

    Attributes:
        classes: [classes], the different labels, sorted.
        quality: float64 [n], 0 to 1; low values are doubtful.
        probabilities: float64 [n, classes], predicted out of fold.
        is_issue: bool [n]; cleanlab's estimate of which labels are wrong.
    """

    classes: np.ndarray
    quality: np.ndarray
    probabilities: np.ndarray
    is_issue: np.ndarray

    @property
    def ranked(self) -> np.ndarray:
        """Indices of the images, the most doubtful first: int [n]."""
        return np.argsort(self.quality, kind="stable")


def score_labels(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> LabelScores:
    """Score the label of each image by predictions of classifiers that have not seen its group.

    Args:
        features: float [n, d], pooled features of a frozen backbone.
        labels: int or str [n].
        groups: int [n], groups of duplicates and patients.
        seed: of the folds.

    Returns:
        Scores in the order of the images.

    Raises:
        UserError: a class has fewer groups than there are folds, or the extra `labels` is missing.
    """
    require_cleanlab()
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    check_groups(labels, groups)
    classes, codes = np.unique(labels, return_inverse=True)
    probabilities = _predict_out_of_fold(features, codes, groups, seed)
    quality = get_label_quality_scores(codes, probabilities, method="self_confidence")
    issues = find_label_issues(codes, probabilities, filter_by="prune_by_noise_rate", n_jobs=1)
    return LabelScores(classes, quality, probabilities, issues)


def require_cleanlab() -> None:
    """Raise UserError if the extra `labels` is missing."""
    if importlib.util.find_spec("cleanlab") is None:
        raise UserError(f"--labels: {missing_extra('labels')}")


def check_groups(labels: np.ndarray, groups: np.ndarray) -> None:
    """Raise UserError if a class has too few independent groups to be predicted out of fold."""
    for label in np.unique(labels):
        count = len(np.unique(groups[labels == label]))
        if count < FOLDS:
            raise UserError(
                f"--labels: class {label} has {count} independent groups, {FOLDS} are needed; leave --labels out"
            )


def _predict_out_of_fold(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classes = int(labels.max()) + 1
    probabilities = np.zeros((len(labels), classes))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(features, labels, groups):
        components = min(_COMPONENTS, features.shape[1], len(train) - 1)
        classifier = make_pipeline(
            StandardScaler(),
            PCA(components, whiten=True, random_state=seed),
            LogisticRegression(C=_REGULARISATION, class_weight="balanced", max_iter=500),
        )
        classifier.fit(features[train], labels[train])
        probabilities[np.ix_(test, classifier.classes_)] = classifier.predict_proba(features[test])
    return probabilities
