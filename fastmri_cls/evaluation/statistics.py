"""Intervals that respect groups: a bootstrap over groups of copies (or patients), not over images.

Images of one group are not independent, so groups are drawn with replacement; each draw is a weight an image, and a
metric is a function of weights that serves all draws at once.
"""

from collections.abc import Iterator

import numpy as np

DRAWS = 2000
_LEVEL = 0.95
_BLOCK = 250  # draws at once: 250 x 10 000 images are 20 MB


def bootstrap_weights(groups: np.ndarray, seed: int, draws: int = DRAWS) -> Iterator[np.ndarray]:
    """Yield blocks of float64 [draws, n]: how often each image is in each draw of whole groups.

    Args:
        groups: int [n].
    """
    _, member = np.unique(groups, return_inverse=True)
    count = member.max() + 1
    rng = np.random.default_rng(seed)
    for start in range(0, draws, _BLOCK):
        here = min(_BLOCK, draws - start)
        yield rng.multinomial(count, np.full(count, 1 / count), size=here)[:, member].astype(np.float64)


def interval(values: np.ndarray) -> list[float] | None:
    """Return the percentile interval [low, high] of 95 % of the finite `values`; None where there are none."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return None
    tail = (1 - _LEVEL) / 2
    return [float(bound) for bound in np.quantile(finite, (tail, 1 - tail))]


def weighted_accuracy(correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return float64 [draws]; `correct` bool [n], `weights` [draws, n]."""
    with np.errstate(invalid="ignore"):
        return weights @ correct.astype(np.float64) / weights.sum(axis=1)


def weighted_auc_macro(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return float64 [draws], the mean over classes of the one-against-rest AUC; NaN where no class has both sides."""
    per_class = [
        _weighted_auc(labels == c, probabilities[:, c], weights)
        for c in range(probabilities.shape[1])
        if (labels == c).any()
    ]
    values = np.stack(per_class) if per_class else np.full((1, len(weights)), np.nan)
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0.0).sum(axis=0) / defined.sum(axis=0)


def _weighted_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted Mann-Whitney statistic: the share of (positive, negative) pairs in order, ties count half."""
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    positives = np.add.reduceat(np.where(positive[order], weights[:, order], 0.0), starts, axis=1)
    negatives = np.add.reduceat(np.where(positive[order], 0.0, weights[:, order]), starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (positives * (below + negatives / 2)).sum(axis=1) / pairs
