"""metrics.json against scikit-learn called directly, and intervals against their definition."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from fastmri_cls.evaluation.calibration import expected_calibration_error, reliability
from fastmri_cls.evaluation.metrics import all_metrics, set_metrics
from fastmri_cls.evaluation.predictions import Predictions, read_predictions, write_predictions
from fastmri_cls.evaluation.statistics import bootstrap_weights, weighted_accuracy, weighted_auc_macro
from fastmri_cls.foundation.errors import UserError

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")


def predictions(n: int = 300, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(classes), n)
    logits = rng.normal(0, 1, (n, len(classes))) + 1.5 * np.eye(len(classes))[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sources = np.where(np.arange(n) < n * 2 // 3, "a", "b")
    return Predictions(
        splits=np.char.add("test.", sources),
        sources=sources,
        filenames=np.array([f"Testing/x,é/{i}.jpg" for i in range(n)]),
        groups=np.arange(n) // 2,
        clean=np.arange(n) % 5 > 0,
        labels=labels,
        probabilities=probabilities.astype(np.float32),
        classes=classes,
    )


def test_every_number_is_scikit_learns():
    p = predictions()
    found = set_metrics(p)
    truth, called = p.labels, p.probabilities.argmax(axis=1)
    assert found["n"] == 300
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, called))
    assert found["loss"] == pytest.approx(metrics.log_loss(truth, p.probabilities.astype(float)), rel=1e-5)
    exact = p.probabilities.astype(float) / p.probabilities.astype(float).sum(axis=1, keepdims=True)
    assert found["auc_macro"] == pytest.approx(metrics.roc_auc_score(truth, exact, multi_class="ovr"))
    report = metrics.classification_report(truth, called, target_names=CLASSES, output_dict=True)
    assert found["confusion_matrix"] == metrics.confusion_matrix(truth, called).tolist()
    for label, name in enumerate(CLASSES):
        mine = found["per_class"][name]
        assert mine["precision"] == pytest.approx(report[name]["precision"])
        assert mine["recall"] == pytest.approx(report[name]["recall"])
        assert mine["f1"] == pytest.approx(report[name]["f1-score"])
        assert mine["support"] == report[name]["support"]
        assert mine["specificity"] == pytest.approx(metrics.recall_score(truth != label, called != label))
        scores = p.probabilities[:, label]
        assert mine["auc"] == pytest.approx(metrics.roc_auc_score(truth == label, scores))
        assert mine["average_precision"] == pytest.approx(metrics.average_precision_score(truth == label, scores))
    brier = metrics.brier_score_loss(truth, exact, labels=range(4), scale_by_half=False)
    assert found["brier"] == pytest.approx(brier, rel=1e-5)


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
    weights = next(bootstrap_weights(p.groups, seed=3, draws=20))
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


def test_whole_groups_are_drawn_and_their_number_is_kept():
    groups = np.array([7, 7, 7, 2, 2, 9])
    weights = np.concatenate(list(bootstrap_weights(groups, seed=0, draws=600)))
    assert weights.shape == (600, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 3] + weights[:, 5] == 3).all()


def test_copies_widen_the_interval():
    single = predictions(200)
    copied = single.where(np.repeat(np.arange(200), 5))
    width = np.diff(set_metrics(single)["ci95"]["accuracy"])[0]
    assert np.diff(set_metrics(copied)["ci95"]["accuracy"])[0] == pytest.approx(width, rel=0.15)


def test_intervals_cover_the_truth_in_95_percent_of_studies():
    """Groups of three equal images, true accuracy .8: what an image bootstrap would miss in every third study."""
    rng = np.random.default_rng(0)
    covered = []
    for study in range(300):
        correct = np.repeat(rng.random(100) < 0.8, 3)
        draws = [weighted_accuracy(correct, w) for w in bootstrap_weights(np.repeat(np.arange(100), 3), study, 400)]
        low, high = np.quantile(np.concatenate(draws), (0.025, 0.975))
        covered.append(low <= 0.8 <= high)
    assert 0.91 <= np.mean(covered) <= 0.98


def test_sets_by_source_their_clean_part_pooled_and_mean():
    p = predictions()
    found = all_metrics(p, None)["tests"]
    assert list(found) == ["a", "a-clean", "b", "b-clean", "pooled", "mean"]
    assert found["a-clean"]["n"] == ((p.sources == "a") & p.clean).sum()
    assert found["pooled"]["accuracy"] == pytest.approx(np.mean(p.predicted == p.labels))
    assert found["mean"]["accuracy"] == pytest.approx((found["a"]["accuracy"] + found["b"]["accuracy"]) / 2)
    low, high = found["mean"]["ci95"]["accuracy"]
    assert low < found["mean"]["accuracy"] < high


def test_what_is_not_defined_is_null_and_never_made_up():
    p = predictions(40).where(np.flatnonzero(predictions(40).labels != 2))
    found = set_metrics(p)
    absent = found["per_class"]["notumor"]
    assert absent["support"] == 0
    assert absent["auc"] is None
    assert absent["recall"] is None
    json.dumps(all_metrics(p, p), allow_nan=False)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 12), seed=st.integers(0, 99), classes=st.integers(2, 6))
def test_tiny_sets_of_any_composition_have_metrics(n, seed, classes):
    p = predictions(n, seed, tuple(f"class {c}" for c in range(classes)))
    found = all_metrics(p, None)
    json.dumps(found, allow_nan=False)
    assert sum(m["support"] for m in found["tests"]["pooled"]["per_class"].values()) == n


def test_predictions_survive_their_csv_to_the_last_bit(tmp_path):
    p = predictions(50)
    write_predictions(tmp_path / "p.csv", p)
    again = read_predictions(tmp_path / "p.csv")
    for name in ("splits", "sources", "filenames", "groups", "clean", "labels", "probabilities"):
        np.testing.assert_array_equal(getattr(again, name), getattr(p, name), err_msg=name)
    assert again.classes == p.classes


def test_a_csv_of_other_columns_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"p\.csv: has the columns a, b"):
        read_predictions(tmp_path / "p.csv")
