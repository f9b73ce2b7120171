"""ROC and precision-recall curves of one class against the rest, with their areas. scikit-learn computes them."""

from typing import NamedTuple

import numpy as np
from sklearn import metrics

from fastmri_cls.runs.predictions import Predictions


class Curve(NamedTuple):
    """A curve in the unit square.

    Attributes:
        x: float64 [points].
        y: float64 [points].
        area: the AUC, or the average precision.
    """

    x: np.ndarray
    y: np.ndarray
    area: float


def roc(p: Predictions, label: int) -> Curve | None:
    """Return sensitivity (y) against 1 - specificity (x); None without images of the class, or of other classes."""
    truth, scores = p.labels == label, p.probabilities[:, label]
    if truth.all() or not truth.any():
        return None
    false_positive_rate, sensitivity, _ = metrics.roc_curve(truth, scores)
    return Curve(false_positive_rate, sensitivity, float(metrics.roc_auc_score(truth, scores)))


def precision_recall(p: Predictions, label: int) -> Curve | None:
    """Return precision (y) against recall (x), recall falling; None without images of the class."""
    truth, scores = p.labels == label, p.probabilities[:, label]
    if not truth.any():
        return None
    precision, recall, _ = metrics.precision_recall_curve(truth, scores)
    return Curve(recall, precision, float(metrics.average_precision_score(truth, scores)))
