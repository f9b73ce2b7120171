"""How far a model's confidence is from its accuracy: reliability bins and the expected calibration error."""

from typing import NamedTuple

import numpy as np

BINS = 15  # Guo et al. 2017, On Calibration of Modern Neural Networks


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
