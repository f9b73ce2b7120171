"""The softmax temperature: fitted on validation images, and applied to others.

Sources: Guo et al. 2017, On Calibration of Modern Neural Networks; Platt 1999 (targets).
"""

import numpy as np
from scipy import optimize, special

_TEMPERATURES = (0.02, 50.0)  # bounds of the search
_MIN_PROBABILITY = float(np.finfo(np.float32).tiny)  # a float32 softmax underflows to 0, which has no logarithm


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the temperature with the smallest log loss.

    A temperature below 1 sharpens (a model trained with label smoothing is under-confident), above 1 it softens. The
    targets are Platt's: every class gets one image more than there is, so that a model without a mistake on these
    images does not become infinitely confident; with hundreds of images the difference is negligible.

    Args:
        labels: int [n].
        probabilities: float [n, classes].
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
    """Return softmax(logits / temperature) for probabilities [n, classes], float64; the most probable class stays."""
    return np.asarray(special.softmax(_logits(probabilities) / temperature, axis=1))


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Return the logits up to a constant in each row, which softmax ignores."""
    logits: np.ndarray = np.log(np.maximum(probabilities.astype(np.float64), _MIN_PROBABILITY))
    return logits
