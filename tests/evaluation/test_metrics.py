"""metrics.json against scikit-learn called directly, and intervals against their definition."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn import metrics

from fastmri_cls.evaluation.calibration import (
    expected_calibration_error,
    fit_calibration,
    reliability,
    youden_threshold,
)
from fastmri_cls.evaluation.metrics import classification_report, set_metrics
from fastmri_cls.evaluation.sets import all_metrics, evaluation_sets
from fastmri_cls.evaluation.statistics import (
    cluster_bootstrap,
    percentile_ci,
    weighted_accuracy,
    weighted_auc_macro,
)
from fastmri_cls.evaluation.temperature import fit_temperature, scale_by_temperature
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.calibration import read_calibration, write_calibration
from fastmri_cls.runs.metrics import SetMetrics
from fastmri_cls.runs.predictions import Predictions

pytestmark = pytest.mark.slow

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


def test_balanced_accuracy_and_kappa_are_scikit_learns():
    p = predictions()
    found = set_metrics(p)
    assert found.balanced_accuracy.value == pytest.approx(metrics.balanced_accuracy_score(p.labels, p.predicted))
    assert found.kappa == pytest.approx(metrics.cohen_kappa_score(p.labels, p.predicted))


def test_the_operating_point_is_the_largest_youden_index_of_validation():
    truth = np.array([False, False, False, True, False, True, True])
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    index = {t: np.mean(scores[truth] >= t) - np.mean(scores[~truth] >= t) for t in scores}
    assert youden_threshold(truth, scores) == max(scores, key=lambda t: (index[t], t)) == 0.4
    assert youden_threshold(truth, -scores) is None
    assert youden_threshold(np.ones(7, bool), scores) is None


def test_sensitivity_and_specificity_at_the_operating_point_are_counted_on_the_test_set():
    validation, tests = predictions(200, seed=1), predictions(200, seed=2)
    calibration = fit_calibration(validation)
    found = set_metrics(tests, calibration).per_class["pituitary"].operating
    called, truth = tests.probabilities[:, 3] >= calibration.thresholds["pituitary"], tests.labels == 3
    assert found.sensitivity == pytest.approx(metrics.recall_score(truth, called))
    assert found.specificity == pytest.approx(metrics.recall_score(truth, called, pos_label=False))
    assert set_metrics(tests).per_class["pituitary"].operating is None


def test_temperature_scaling_undoes_a_known_temperature():
    """Labels drawn from the probabilities, which are then flattened: the temperature found makes them sharp again."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 4))
    true = special.softmax(logits, axis=1)
    labels = (true.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    flat = special.softmax(logits / 2.5, axis=1)
    temperature = fit_temperature(labels, flat)
    assert temperature == pytest.approx(1 / 2.5, rel=0.04)  # the noise of 20 000 labels
    np.testing.assert_allclose(scale_by_temperature(flat, 1 / 2.5), true, atol=1e-9)
    assert expected_calibration_error(labels, flat) > 0.2
    assert expected_calibration_error(labels, scale_by_temperature(flat, temperature)) < 0.01


def test_no_other_temperature_has_a_smaller_loss():
    p = predictions(2000)
    found = fit_temperature(p.labels, p.probabilities)
    losses = {
        t: metrics.log_loss(p.labels, scale_by_temperature(p.probabilities, t)) for t in (*np.linspace(0.3, 3, 271), 1)
    }
    assert found == pytest.approx(min(losses, key=losses.get), abs=0.015)


def test_a_faultless_validation_does_not_make_the_model_infinitely_sure():
    labels = np.arange(200) % 4
    confident = np.full((200, 4), 0.02) + 0.92 * np.eye(4)[labels]
    calibrated = scale_by_temperature(confident, fit_temperature(labels, confident))
    assert calibrated.max() == pytest.approx(201 / 204, abs=1e-3)


def test_calibrated_numbers_are_those_of_the_scaled_probabilities():
    validation, tests = predictions(400, seed=1), predictions(400, seed=2)
    calibration = fit_calibration(validation)
    found = set_metrics(tests, calibration).calibrated
    scaled = scale_by_temperature(tests.probabilities, calibration.temperature)
    assert found.loss == pytest.approx(metrics.log_loss(tests.labels, scaled))
    brier = metrics.brier_score_loss(tests.labels, scaled, labels=range(4), scale_by_half=False)
    assert found.brier == pytest.approx(brier)
    assert found.ece == expected_calibration_error(tests.labels, scaled)


def test_a_calibration_survives_its_file_and_a_damaged_one_is_named(tmp_path):
    path = tmp_path / "calibration.json"
    assert read_calibration(path) is None
    calibration = fit_calibration(predictions(100))
    write_calibration(path, calibration)
    assert read_calibration(path) == calibration
    assert json.loads(path.read_text())["images"] == calibration.num_images == 100
    path.write_text('{"temperature": 1}')
    with pytest.raises(UserError, match=r"calibration\.json: .*thresholds.*run evaluate"):
        read_calibration(path)


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


def test_a_report_of_arrays_is_that_of_predictions():
    p = predictions()
    by_index = classification_report(p.labels, p.probabilities, groups=p.groups, classes=CLASSES)
    assert by_index == set_metrics(p)
    names = np.array(CLASSES)[p.labels].tolist()
    patients = [f"patient {group}" for group in p.groups]  # another order of groups: other draws
    by_name = classification_report(names, p.probabilities.tolist(), groups=patients)
    assert by_name.accuracy.value == by_index.accuracy.value
    assert list(by_name.per_class) == list(CLASSES)
    assert by_name.accuracy.low == pytest.approx(by_index.accuracy.low, abs=0.01)


def test_copies_narrow_the_interval_of_a_report_only_if_it_is_not_told_of_them():
    p = predictions(200)
    labels, probabilities, originals = (np.repeat(a, 5, axis=0) for a in (p.labels, p.probabilities, np.arange(200)))
    single, told, untold = (
        report.accuracy.high - report.accuracy.low
        for report in (
            classification_report(p.labels, p.probabilities),
            classification_report(labels, probabilities, groups=originals),
            classification_report(labels, probabilities),
        )
    )
    assert told == pytest.approx(single, rel=0.15)
    assert untold == pytest.approx(single / np.sqrt(5), rel=0.15)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"y_prob": [0.2, 0.8]}, r"y_prob: shape \(2,\)"),
        ({"y_prob": [[1.0], [1.0]]}, r"y_prob: shape \(2, 1\)"),
        ({"y_prob": [[0.5, 0.5], [0.2, 0.3]]}, r"y_prob: row 1 is \[0\.2, 0\.3\]"),
        ({"y_prob": [[1.5, -0.5], [0.2, 0.8]]}, "y_prob: row 0"),
        ({"y_prob": [[float("nan"), 1], [0.2, 0.8]]}, "y_prob: row 0"),
        ({"y_true": [0, 2]}, "y_true: label 2 is none of the 2 classes 0, 1"),
        ({"y_true": [-1, 1]}, "y_true: label -1"),
        ({"y_true": [0]}, r"y_true: shape \(1,\)"),
        ({"y_true": [0.0, 1.0]}, "y_true: float64 labels"),
        ({"y_true": ["a", "c"], "classes": ["a", "b"]}, "y_true: label c"),
        ({"y_true": ["a", "a"]}, "classes: a; y_prob has 2 columns"),
        ({"classes": ["a", "a"]}, "classes: a, a; y_prob has 2 columns"),
        ({"groups": [1]}, r"groups: shape \(1,\)"),
        ({"draws": 0}, "draws: 0"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused_by_name(changes, problem):
    arguments = {"y_true": [0, 1], "y_prob": [[0.6, 0.4], [0.2, 0.8]]} | changes
    with pytest.raises(UserError, match=f"^{problem}"):
        classification_report(**arguments)
