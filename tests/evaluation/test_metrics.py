"""metrics.json against scikit-learn called directly, and the sets it is computed for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from fastmri_cls.evaluation.calibration import (
    expected_calibration_error,
    fit_calibration,
    reliability,
)
from fastmri_cls.evaluation.metrics import set_metrics
from fastmri_cls.evaluation.sets import all_metrics, evaluation_sets
from fastmri_cls.evaluation.statistics import (
    cluster_bootstrap,
    weighted_accuracy,
    weighted_auc_macro,
)
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.metrics import SetMetrics
from tests.evaluation.drawn import CLASSES, predictions

pytestmark = pytest.mark.slow


def test_every_number_is_scikit_learns():
    p = predictions()
    found = set_metrics(p)
    truth, called = p.labels, p.probabilities.argmax(axis=1)
    assert found.n == 300
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(truth, called))
    exact = p.probabilities.astype(float) / p.probabilities.astype(float).sum(axis=1, keepdims=True)
    assert found.loss == pytest.approx(metrics.log_loss(truth, exact))
    assert found.auc_macro.value == pytest.approx(metrics.roc_auc_score(truth, exact, multi_class="ovr"))
    report = metrics.classification_report(truth, called, target_names=CLASSES, output_dict=True)
    assert found.confusion_matrix == metrics.confusion_matrix(truth, called).tolist()
    for label, name in enumerate(CLASSES):
        mine = found.per_class[name]
        assert mine.precision == pytest.approx(report[name]["precision"])
        assert mine.recall.value == pytest.approx(report[name]["recall"])
        assert mine.f1 == pytest.approx(report[name]["f1-score"])
        assert mine.support == report[name]["support"]
        assert mine.specificity.value == pytest.approx(metrics.recall_score(truth != label, called != label))
        scores = p.probabilities[:, label]
        assert mine.auc.value == pytest.approx(metrics.roc_auc_score(truth == label, scores))
        assert mine.average_precision == pytest.approx(metrics.average_precision_score(truth == label, scores))
    brier = metrics.brier_score_loss(truth, exact, labels=range(4), scale_by_half=False)
    assert found.brier == pytest.approx(brier, rel=1e-5)


def test_ece_is_the_weighted_gap_of_15_bins():
    p = predictions()
    confidence, correct = p.probabilities.max(axis=1), p.predicted == p.labels
    gap = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            gap += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(p.labels, p.probabilities) == pytest.approx(gap, abs=1e-6)
    assert reliability(p.labels, p.probabilities).images.sum() == len(p)


def test_weights_mean_repeated_images():
    p = predictions(60)
    weights = next(cluster_bootstrap(p.groups, p.labels, seed=3, draws=20))
    accuracy = weighted_accuracy(p.predicted == p.labels, weights)
    auc = weighted_auc_macro(p.labels, p.probabilities, weights)
    for draw in range(20):
        rows = np.repeat(np.arange(60), weights[draw].astype(int))
        repeated = p.where(rows)
        assert accuracy[draw] == pytest.approx(np.mean(repeated.predicted == repeated.labels))
        expected = [
            metrics.roc_auc_score(repeated.labels == c, repeated.probabilities[:, c])
            for c in range(4)
            if 0 < np.sum(repeated.labels == c) < len(repeated)
        ]
        assert auc[draw] == pytest.approx(np.mean(expected))


def test_balanced_accuracy_and_kappa_are_scikit_learns():
    p = predictions()
    found = set_metrics(p)
    assert found.balanced_accuracy.value == pytest.approx(metrics.balanced_accuracy_score(p.labels, p.predicted))
    assert found.kappa == pytest.approx(metrics.cohen_kappa_score(p.labels, p.predicted))


def test_sets_by_source_their_clean_part_pooled_and_mean():
    p = predictions()
    found, validation = all_metrics(p, None, None)
    assert validation is None
    assert list(found) == ["a", "a-clean", "b", "b-clean", "pooled", "mean"]
    assert found["a-clean"].n == ((p.sources == "a") & p.clean).sum()
    assert found["pooled"].accuracy.value == pytest.approx(np.mean(p.predicted == p.labels))
    mean = found["mean"].accuracy
    assert mean.value == pytest.approx((found["a"].accuracy.value + found["b"].accuracy.value) / 2)
    assert mean.low < mean.value < mean.high


def test_the_mean_weighs_every_source_the_same_in_every_metric():
    p, calibration = predictions(), fit_calibration(predictions(200, seed=1))
    found, _ = all_metrics(p, None, calibration)
    a, b, mean = (found[name] for name in ("a", "b", "mean"))
    assert mean.n == a.n + b.n
    assert mean.confusion_matrix == (np.array(a.confusion_matrix) + b.confusion_matrix).tolist()
    for value in (
        lambda m: m.balanced_accuracy.value,
        lambda m: m.kappa,
        lambda m: m.loss,
        lambda m: m.ece,
        lambda m: m.brier,
        lambda m: m.auc_macro.value,
        lambda m: m.calibrated.ece,
        lambda m: m.per_class["glioma"].precision,
        lambda m: m.per_class["glioma"].recall.value,
        lambda m: m.per_class["glioma"].specificity.value,
        lambda m: m.per_class["glioma"].auc.value,
        lambda m: m.per_class["glioma"].operating.sensitivity,
    ):
        assert value(mean) == pytest.approx((value(a) + value(b)) / 2)
        assert value(a) != value(b)


@pytest.mark.parametrize("name", ["pooled", "mean", "b-clean"])
def test_a_source_named_as_a_set_of_several_is_refused(name):
    p = predictions()
    with pytest.raises(UserError, match=f"source {name}: .*rebuild with build-tfrecords NAME=FOLDER"):
        evaluation_sets(replace(p, sources=np.where(p.sources == "a", name, "b")))


def test_what_is_not_defined_is_none_and_never_made_up():
    p = predictions(40).where(np.flatnonzero(predictions(40).labels != 2))
    absent = set_metrics(p).per_class["notumor"]
    assert absent.support == 0
    assert absent.auc is None
    assert absent.recall is None
    assert set_metrics(p.where(p.labels == 1)).auc_macro is None


def of_all_sets(found: SetMetrics) -> int:
    return sum(of_class.support for of_class in found.per_class.values())


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 12), seed=st.integers(0, 99), classes=st.integers(2, 6))
def test_tiny_sets_of_any_composition_have_metrics(n, seed, classes):
    p = predictions(n, seed, tuple(f"class {c}" for c in range(classes)))
    found, _ = all_metrics(p, p, fit_calibration(p))
    assert of_all_sets(found["pooled"]) == n


def test_a_class_that_is_never_called_has_no_precision_and_one_that_is_not_there_no_f1():
    p = predictions(60)
    never = replace(p, probabilities=p.probabilities * np.float32([1, 1, 0, 1]))
    of_class = set_metrics(never).per_class["notumor"]
    assert (of_class.precision, of_class.recall.value, of_class.f1) == (None, 0, 0)
    absent = set_metrics(never.where(p.labels != 2)).per_class["notumor"]
    assert (absent.precision, absent.recall, absent.f1) == (None, None, None)


def test_a_source_without_a_class_does_not_lower_the_mean_of_its_precision():
    p = predictions(90)
    p = p.where((p.sources == "a") | (p.labels != 2))
    right = replace(p, probabilities=np.eye(4, dtype=np.float32)[p.labels])
    mean = all_metrics(right, None, None)[0]["mean"].per_class["notumor"]
    assert (mean.precision, mean.recall.value, mean.f1) == (1, 1, 1)
