"""Temperature scaling and the operating point, both chosen on validation."""

import json

import numpy as np
import pytest
from scipy import special
from sklearn import metrics

from fastmri_cls.evaluation.calibration import (
    expected_calibration_error,
    fit_calibration,
    youden_threshold,
)
from fastmri_cls.evaluation.metrics import set_metrics
from fastmri_cls.evaluation.temperature import fit_temperature, scale_by_temperature
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.calibration import read_calibration, write_calibration
from tests.evaluation.drawn import predictions

pytestmark = pytest.mark.slow


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
