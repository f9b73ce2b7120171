"""Doubtful labels: flipped labels come first, and a duplicate never scores its twin."""

import numpy as np
import pytest

from fastmri_cls.auditing import labels as module
from fastmri_cls.auditing.labels import score_labels
from fastmri_cls.foundation.errors import UserError

pytest.importorskip("cleanlab")


def make(n=600, classes=4, per_group=2, noise=1.0, seed=0):
    """Features of `classes` overlapping clusters; images of a group have equal features."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.integers(0, classes, n // per_group), per_group)
    centres = rng.normal(size=(classes, 32)) * 1.2
    features = np.repeat(rng.normal(size=(n // per_group, 32)) * noise, per_group, axis=0) + centres[truth]
    return features, truth, np.repeat(np.arange(n // per_group), per_group)


def test_flipped_labels_are_ranked_first():
    features, truth, groups = make()
    rng = np.random.default_rng(1)
    flipped = rng.choice(len(truth), len(truth) // 20, replace=False)
    labels = truth.copy()
    labels[flipped] = (labels[flipped] + rng.integers(1, 4, len(flipped))) % 4
    first = score_labels(features, labels, groups).ranked[: len(truth) // 10]
    assert np.isin(flipped, first).mean() >= 0.8


def test_a_duplicate_never_scores_its_twin(monkeypatch):
    """Both images of a group have the same wrong label: seen in training, each would confirm the other."""
    features, truth, groups = make(noise=0.3)
    labels = truth.copy()
    wrong = groups < 10
    labels[wrong] = (truth[wrong] + 1) % 4
    assert score_labels(features, labels, groups).quality[wrong].max() < 0.5
    seen = []
    original = module._predict_out_of_fold

    from sklearn.model_selection import StratifiedGroupKFold

    split = StratifiedGroupKFold.split

    def recorded(self, *arguments):
        for train, test in split(self, *arguments):
            seen.append(set(groups[train]) & set(groups[test]))
            yield train, test

    monkeypatch.setattr(StratifiedGroupKFold, "split", recorded)
    original(features, labels, groups, 0)
    assert len(seen) == module.FOLDS
    assert not any(seen)


def test_a_class_of_too_few_groups_is_refused():
    features, truth, groups = make()
    groups = np.where(truth == 2, 0, groups + 1)
    with pytest.raises(UserError, match="class 2 has 1 independent groups"):
        score_labels(features, truth, groups)
