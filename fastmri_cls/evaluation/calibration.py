"""Post-hoc calibration: how far confidence is from accuracy, and per-class decision thresholds.

Sources: Guo et al. 2017, On Calibration of Modern Neural Networks (ECE); Youden 1950 (thresholds). The softmax
temperature is in temperature.py.
"""

from typing import NamedTuple

import numpy as np
from sklearn import metrics

from fastmri_cls.evaluation.temperature import fit_temperature
from fastmri_cls.runs.calibration import Calibration
from fastmri_cls.runs.predictions import Predictions

BINS = 15  # as Guo et al.


class Reliability(NamedTuple):
    """The non-empty bins of a reliability diagram.

    Attributes:
        confidence: mean confidence of each bin, float64 [bins].
        accuracy: accuracy of each bin, float64 [bins].
        images: images in each bin, int64 [bins].
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    images: np.ndarray


def fit_calibration(validation: Predictions) -> Calibration:
    """Fit the temperature with the smallest log loss, and each class's threshold with the largest Youden index."""
    thresholds = {
        name: youden_threshold(validation.labels == label, validation.probabilities[:, label])
        for label, name in enumerate(validation.classes)
    }
    return Calibration(fit_temperature(validation.labels, validation.probabilities), thresholds, len(validation))


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> Reliability:
    """Sort images by confidence, the highest probability, into `BINS` bins of equal width: (0, 1/15], (1/15, 2/15] ...

    Args:
        labels: int [n].
        probabilities: float [n, classes].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    filled = count > 0
    mean_confidence = np.bincount(bins, confidence, BINS)[filled] / count[filled]
    accuracy = np.bincount(bins, correct, BINS)[filled] / count[filled]
    return Reliability(mean_confidence, accuracy, count[filled])


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean over images of |accuracy - confidence| of their bin."""
    bins = reliability(labels, probabilities)
    return float(np.average(np.abs(bins.accuracy - bins.confidence), weights=bins.images))


def youden_threshold(truth: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the highest threshold t that maximises sensitivity + specificity - 1 of `scores` >= t.

    Args:
        truth: bool [n].
        scores: float [n].

    Returns:
        None if `truth` has one side only, or if no threshold is better than chance.
    """
    if truth.all() or not truth.any():
        return None
    false, true, thresholds = metrics.roc_curve(truth, scores, drop_intermediate=False)
    best = int(np.argmax(true - false))
    return float(thresholds[best]) if true[best] > false[best] else None
