"""How far a model's confidence is from its accuracy, and temperature scaling, which closes the gap.

Formulas: Guo et al. 2017, On Calibration of Modern Neural Networks.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize, special

BINS = 15  # as Guo et al.
_TEMPERATURES = (0.02, 50.0)  # bounds of the search
_SMALLEST = float(np.finfo(np.float32).tiny)  # a float32 softmax underflows to 0, whose logarithm has no use


class Reliability(NamedTuple):
    """Of each non-empty bin of confidence: its mean confidence, its accuracy, its images; float64/int64 [bins]."""

    confidence: np.ndarray
    accuracy: np.ndarray
    images: np.ndarray


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> Reliability:
    """Bin images by the probability of the predicted class into `BINS` bins of equal width, (0, 1/15], (1/15, 2/15] ...

    Args:
        labels: int [n]. probabilities: float [n, classes].
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


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the temperature that gives `probabilities` [n, classes] the smallest log loss against `labels` int [n].

    Below 1 it sharpens (a model trained with label smoothing is under-confident), above 1 it softens. The targets are
    Platt's (1999): every class is credited with one image more than was seen, so that a model without a mistake on
    these images is not made infinitely sure; with hundreds of images this changes nothing that can be seen.
    """
    n, classes = probabilities.shape
    logits = _logits(probabilities)
    targets = (np.eye(classes)[labels] * n + 1) / (n + classes)

    def loss(log_temperature: float) -> float:
        scaled = special.log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float((targets * scaled).sum(axis=1).mean())

    found = optimize.minimize_scalar(loss, bounds=tuple(np.log(_TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def scale_by_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(logits / temperature) of softmax(logits), float64 [n, classes]; the argmax stays."""
    return special.softmax(_logits(probabilities) / temperature, axis=1)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits but for a constant a row, which no softmax sees."""
    return np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))
