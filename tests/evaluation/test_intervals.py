"""Confidence intervals against their definition, and how often they cover the truth."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics

from fastmri_cls.evaluation.metrics import set_metrics
from fastmri_cls.evaluation.statistics import (
    cluster_bootstrap,
    difference_ci,
    percentile_ci,
    weighted_accuracy,
    weighted_auc_macro,
)
from fastmri_cls.runs.predictions import Predictions
from tests.evaluation.drawn import predictions

pytestmark = pytest.mark.slow


def test_whole_groups_are_drawn_and_their_number_is_kept():
    groups = np.array([7, 7, 7, 2, 2, 9])
    weights = np.concatenate(list(cluster_bootstrap(groups, np.zeros(6, int), seed=0, draws=600)))
    assert weights.shape == (600, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 3] + weights[:, 5] == 3).all()


def test_copies_widen_the_interval():
    single = predictions(200)
    copied = single.where(np.repeat(np.arange(200), 5))
    assert width(copied) == pytest.approx(width(single), rel=0.15)


def width(p: Predictions) -> float:
    accuracy = set_metrics(p).accuracy
    return accuracy.high - accuracy.low


def coverage(p_right: float, copies: int, studies: int = 400) -> float:
    """The share of simulated studies whose interval holds the truth: 200 cases of four classes, each in `copies`."""
    rng = np.random.default_rng(0)
    labels, groups = np.repeat(np.arange(4), 50 * copies), np.repeat(np.arange(200), copies)
    covered = []
    for study in range(studies):
        correct = np.repeat(rng.random(200) < p_right, copies)
        blocks = cluster_bootstrap(groups, labels, study, 500)
        low, high = percentile_ci(np.concatenate([weighted_accuracy(correct, weights) for weights in blocks]))
        covered.append(low <= p_right <= high)
    return float(np.mean(covered))


@pytest.mark.parametrize(("p_right", "copies"), [(0.9, 1), (0.8, 3)])
def test_intervals_of_accuracy_cover_the_truth_in_95_percent_of_studies(p_right, copies):
    assert 0.93 <= coverage(p_right, copies) <= 0.97


def test_intervals_of_the_auc_cover_the_truth_in_95_percent_of_studies():
    """Two classes with normal scores one deviation apart, so that the true AUC is Phi(1/sqrt 2); each case twice."""
    truth = stats.norm.cdf(1 / np.sqrt(2))
    rng = np.random.default_rng(1)
    labels, groups = np.repeat((0, 1), 200), np.arange(400) // 2
    covered = []
    for study in range(700):
        score = special.expit(np.repeat(rng.normal(0, 1, 200), 2) + labels)
        probabilities = np.stack([1 - score, score], axis=1)
        blocks = cluster_bootstrap(groups, labels, study, 500)
        low, high = percentile_ci(np.concatenate([weighted_auc_macro(labels, probabilities, w) for w in blocks]))
        covered.append(low <= truth <= high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_every_draw_has_the_classes_of_the_set():
    p = predictions(200)
    weights = np.concatenate(list(cluster_bootstrap(np.arange(200), p.labels, seed=1, draws=50)))
    for label in range(4):
        assert (weights[:, p.labels == label].sum(axis=1) == np.sum(p.labels == label)).all()


def test_a_group_of_several_classes_counts_for_the_most_frequent_one():
    groups, labels = np.array([0, 0, 0, 1, 2, 2]), np.array([1, 1, 0, 1, 0, 1])
    weights = np.concatenate(list(cluster_bootstrap(groups, labels, seed=0, draws=200)))
    assert (weights[:, 0] + weights[:, 3] == 2).all()  # groups 0 and 1 are drawn from each other
    assert (weights[:, 4] == 1).all()  # group 2, a tie, counts for the first class and is alone there


def test_a_faultless_set_has_the_exact_interval_of_its_number_of_groups():
    p = replace(predictions(120), probabilities=np.eye(4, dtype=np.float32)[predictions(120).labels])
    found = set_metrics(p)
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx((0.025 ** (1 / 60), 1.0))
    held = len(np.unique(p.groups[p.labels == 2]))
    recall = found.per_class["notumor"].recall
    assert (recall.low, recall.high) == pytest.approx((0.025 ** (1 / held), 1.0))


def test_class_intervals_are_those_of_repeated_sets():
    p = predictions(80)
    found = set_metrics(p).per_class["glioma"]
    drawn = []
    for weights in np.concatenate(list(cluster_bootstrap(p.groups, p.labels, seed=0))):
        again = p.where(np.repeat(np.arange(80), weights.astype(int)))
        truth, called = again.labels == 0, again.predicted == 0
        auc = metrics.roc_auc_score(truth, again.probabilities[:, 0])
        drawn.append((called[truth].mean(), (~called[~truth]).mean(), auc))
    for name, values in zip(("recall", "specificity", "auc"), np.array(drawn).T, strict=True):
        estimate = getattr(found, name)
        assert [estimate.low, estimate.high] == pytest.approx(np.quantile(values, (0.025, 0.975)).tolist())


def test_one_group_a_class_has_no_interval_rather_than_one_without_width():
    p = predictions(80)
    found = set_metrics(replace(p, groups=p.labels))
    of_class = found.per_class["glioma"]
    assert 0 < found.accuracy.value < 1
    for estimate in (found.accuracy, found.balanced_accuracy, found.auc_macro, of_class.recall, of_class.auc):
        assert (estimate.low, estimate.high) == (None, None)
    assert str(found.accuracy) == f"{found.accuracy.value:.3f}"


def test_a_perfect_auc_has_no_interval():
    p = replace(predictions(120), probabilities=np.eye(4, dtype=np.float32)[predictions(120).labels])
    found = set_metrics(p).auc_macro
    assert (found.value, found.low, found.high) == (1, None, None)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (0.0, (0.025 ** (1 / 30) - 1, 1 - 0.025 ** (1 / 30))),
        (1.0, (0.025 ** (1 / 30), 1)),
        (-1.0, (-1, -(0.025 ** (1 / 30)))),
        (0.5, None),
    ],
)
def test_models_that_never_differ_or_always_have_the_exact_interval_of_the_groups(difference, expected):
    found = difference_ci(np.full(500, difference), np.full(60, difference), np.arange(60) // 2)
    assert found == (expected and pytest.approx(expected))
