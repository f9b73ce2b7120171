"""What the figures show, read back from their artists, against scikit-learn called directly."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from fastmri_cls.comparison import figures as side_by_side
from fastmri_cls.evaluation.calibration import expected_calibration_error
from fastmri_cls.evaluation.temperature import scale_by_temperature
from fastmri_cls.report import figures
from fastmri_cls.report.drawing import description_of
from fastmri_cls.report.pictures import render_all
from fastmri_cls.runs.history import Epoch
from fastmri_cls.runs.metrics import Estimate
from tests.comparison_runs import CLASSES, make_predictions

SYSTEMS = {
    "good": [make_predictions(skill=2.5, luck=1), make_predictions(skill=2.5, luck=2)],
    "poor": [make_predictions(skill=1.0, luck=3)],
}


def test_confusion_matrices_add_up_repeats():
    figure = figures.confusion_matrices(SYSTEMS)
    for axes, repeats in zip(figure.axes, SYSTEMS.values(), strict=True):
        counts = sum(metrics.confusion_matrix(p.labels, p.predicted) for p in repeats)
        shares = counts / counts.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(axes.images[0].get_array(), shares)
        written = [text.get_text() for text in axes.texts]
        assert written == [f"{s:.2f}\n({c})" for s, c in zip(shares.ravel(), counts.ravel(), strict=True)]
    assert figure.axes[0].get_title() == "good\n(n = 160, 2 runs)"


def test_bars_are_the_mean_recall_of_repeats():
    axes = figures.class_accuracy(SYSTEMS).axes[0]
    for bars, repeats in zip(axes.containers, SYSTEMS.values(), strict=True):
        recalls = [metrics.recall_score(p.labels, p.predicted, average=None) for p in repeats]
        np.testing.assert_allclose([bar.get_width() for bar in bars], np.mean(recalls, axis=0))
    dots = axes.lines[0].get_xdata()
    np.testing.assert_allclose(dots, np.ravel([[np.mean(p.predicted[p.labels == c] == c) for c in range(4)]
                                               for p in SYSTEMS["good"]]))  # fmt: skip


def test_a_class_without_images_has_no_bar():
    p = SYSTEMS["poor"][0]
    axes = figures.class_accuracy({"poor": [p.where(p.labels != 2)]}).axes[0]
    assert [text.get_text() for text in axes.texts][2] == "none"


def test_a_class_without_images_has_no_curve_and_the_figure_says_so():
    p = SYSTEMS["poor"][0]
    p = p.where(p.labels != 2)
    for draw, area in ((figures.roc_curves, "AUC"), (figures.precision_recall_curves, "AP")):
        axes = draw({"poor": [p]}).axes[0]
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels[2] == f"notumor, {area} not defined"
        assert "not defined" not in labels[1]
    axes = side_by_side.roc_curves({"poor": [p], "again": [p]}).axes[2]
    assert [text.get_text() for text in axes.texts] == ["AUC not defined"]
    assert description_of(axes) == "notumor: AUC not defined"
    render_all({"ROC": figures.roc_curves({"poor": [p]})}, {})  # a line without points can be drawn


def test_roc_curves_of_a_run_are_scikit_learns():
    p = SYSTEMS["good"][0]
    axes = figures.roc_curves({"good": [p]}).axes[0]
    for label, name in enumerate(CLASSES):
        false, true, _ = metrics.roc_curve(p.labels == label, p.probabilities[:, label])
        np.testing.assert_allclose(axes.lines[label].get_xydata(), np.stack([false, true], axis=1))
        area = metrics.roc_auc_score(p.labels == label, p.probabilities[:, label])
        assert axes.lines[label].get_label() == f"{name}, AUC {area:.3f}"


def test_roc_curves_of_a_comparison_are_the_mean_of_repeats():
    figure = side_by_side.roc_curves(SYSTEMS)
    assert [axes.get_title() for axes in figure.axes] == list(CLASSES)
    for label, axes in enumerate(figure.axes):
        line = axes.lines[0]
        curves, areas = [], []
        for p in SYSTEMS["good"]:
            positive, negative = p.probabilities[p.labels == label, label], p.probabilities[p.labels != label, label]
            areas.append(np.mean(positive[:, None] > negative) + np.mean(positive[:, None] == negative) / 2)
            # With k negatives called, the threshold is the next one, and a positive is called above it.
            highest = np.sort(negative)[::-1]
            called = np.minimum((line.get_xdata() * len(negative)).astype(int), len(negative) - 1)
            curves.append([np.mean(positive > threshold) for threshold in highest[called]])
        at_a_step = np.isclose(line.get_xdata() * len(negative) % 1, [[0], [1]]).any(axis=0)
        drawn = line.get_ydata()[~at_a_step]
        np.testing.assert_allclose(drawn, np.mean(curves, axis=0)[~at_a_step])
        assert line.get_label() == f"good, AUC {np.mean(areas):.3f}"


def test_precision_recall_curves_of_a_comparison_are_the_mean_of_repeats():
    figure = side_by_side.precision_recall_curves(SYSTEMS)
    for label, axes in enumerate(figure.axes):
        line = axes.lines[0]
        averages = [
            metrics.average_precision_score(p.labels == label, p.probabilities[:, label]) for p in SYSTEMS["good"]
        ]
        assert line.get_label() == f"good, AP {np.mean(averages):.3f}"
        for recall in (0.25, 0.5, 0.75, 1.0):
            precisions = []
            for p in SYSTEMS["good"]:
                truth, scores = p.labels == label, p.probabilities[:, label]
                needed = int(np.ceil(recall * truth.sum() - 1e-9))  # positives found at the threshold
                threshold = np.sort(scores[truth])[::-1][needed - 1]
                precisions.append(truth[scores >= threshold].mean())
            place = np.argmin(abs(line.get_xdata() - recall))
            assert line.get_ydata()[place] == pytest.approx(np.mean(precisions))


def test_reliability_is_shown_as_trained_and_calibrated():
    p = SYSTEMS["poor"][0]
    axes = figures.reliability_diagram({"poor": [p]}, {"poor": [0.5]}).axes[0]
    for line, probabilities in (
        (axes.lines[1], p.probabilities),
        (axes.lines[2], scale_by_temperature(p.probabilities, 0.5)),
    ):
        confidence, right = probabilities.max(axis=1), p.predicted == p.labels
        bins = np.ceil(confidence * 15)
        expected = [(confidence[bins == b].mean(), right[bins == b].mean()) for b in np.unique(bins)]
        np.testing.assert_allclose(line.get_xydata(), expected, rtol=1e-5)
    assert axes.lines[2].get_label().startswith("temperature 0.50, ECE ")


def test_the_error_in_the_legend_is_the_mean_of_the_repeats():
    axes = figures.reliability_diagram({"good": SYSTEMS["good"]}, {"good": [None, None]}).axes[0]
    errors = [expected_calibration_error(p.labels, p.probabilities) for p in SYSTEMS["good"]]
    assert axes.lines[1].get_label() == f"as trained, ECE {np.mean(errors):.3f}"


def test_without_a_temperature_there_is_one_line():
    axes = figures.reliability_diagram({"poor": SYSTEMS["poor"]}, {"poor": [None]}).axes[0]
    assert len(axes.lines) == 2  # the diagonal and the model


def test_the_overview_has_point_interval_paper_and_baseline():
    accuracies = {"alpha": {"good": Estimate(0.8, 0.7, 0.85)}, "pooled": {"good": Estimate(0.9, 0.82, 0.94)}}
    figure = side_by_side.accuracy_overview(accuracies, {"good": 0.93}, {"pooled": {"majority class": 0.3}})
    alpha, pooled = figure.axes[:2]
    (container,) = pooled.containers
    assert container.lines[0].get_xdata() == [0.9]
    segment = container.lines[2][0].get_segments()[0]
    np.testing.assert_allclose(segment[:, 0], (0.82, 0.94))
    xs = [line.get_xdata() for line in pooled.lines]
    assert [0.93] in [list(np.atleast_1d(x)) for x in xs]
    assert [0.3, 0.3] in [list(x) for x in xs if len(x) == 2]
    assert not [line for line in alpha.lines if list(np.atleast_1d(line.get_xdata())) == [0.93]]


def test_learning_curves_are_the_histories():
    history = [
        Epoch(1, 1, 2.0, 0.3, 2.1, 0.35, learning_rate=1e-3, seconds=1.0, images_per_second=100.0),
        Epoch(2, 1, 1.0, 0.6, 1.4, 0.5, learning_rate=1e-4, seconds=1.0, images_per_second=100.0),
    ]
    loss, accuracy = side_by_side.learning_curves({"one": [history]}).axes[:2]
    assert [list(line.get_ydata()) for line in loss.lines] == [[2.1, 1.4], [2.0, 1.0], [1.4]]
    assert [list(line.get_ydata()) for line in accuracy.lines] == [[0.35, 0.5], [0.3, 0.6], [0.5]]


def test_cost_is_a_point_a_run():
    axes = side_by_side.cost_against_accuracy({"a": [(10.0, 0.8), (12.0, 0.9)], "b": [(100.0, 0.7)]}).axes[0]
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[10.0, 0.8], [12.0, 0.9]], [[100.0, 0.7]]]


def test_training_curves_shade_the_second_phase():
    first = Epoch(1, 1, 1.0, 0.5, 1.2, 0.4, learning_rate=1e-4, seconds=1.0, images_per_second=100.0)
    axes = figures.training_curves([first, replace(first, phase=2, val_loss=1.1)]).axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == [[1.0, 1.0], [1.2, 1.1]]
    assert axes.patches[0].get_x() == 1.5


def test_the_sets_of_a_run_are_its_sources_and_all_of_them():
    p = SYSTEMS["good"][0]
    assert {name: len(ps[0]) for name, ps in figures.figure_sets(p).items()} == {
        "alpha": 100,
        "beta": 60,
        "pooled": 160,
    }
    alone = replace(p, sources=np.full(160, "alpha"))
    assert list(figures.figure_sets(alone)) == ["alpha"]
