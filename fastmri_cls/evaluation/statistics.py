"""Intervals that respect groups: a bootstrap over groups of copies (or patients), not over images.

Images of one group are not independent, so groups are drawn with replacement; each draw is a weight an image, and a
metric is a function of weights that serves all draws at once. Draws are stratified by class: every draw has as many
groups of each class as the set itself. A group with several classes (copies labelled differently) counts for the class
most of its images have, the first in label order where that is a tie.
"""

from collections.abc import Iterator

import numpy as np
from scipy import stats

DRAWS = 2000
_LEVEL = 0.95
_BLOCK = 250  # draws at once: 250 x 10 000 images are 20 MB


def bootstrap_weights(groups: np.ndarray, labels: np.ndarray, seed: int, draws: int = DRAWS) -> Iterator[np.ndarray]:
    """Yield blocks of float64 [draws, n]: how often each image is in each draw of whole groups.

    Args:
        groups: int [n]. labels: int [n].
    """
    _, member = np.unique(groups, return_inverse=True)
    strata = _majority_labels(member, labels)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    rng = np.random.default_rng(seed)
    for start in range(0, draws, _BLOCK):
        drawn = np.empty((min(_BLOCK, draws - start), len(strata)))
        for chosen in members:
            drawn[:, chosen] = rng.multinomial(len(chosen), np.full(len(chosen), 1 / len(chosen)), size=len(drawn))
        yield drawn[:, member]


def _majority_labels(member: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return int [groups], the label most images of each group have."""
    counts = np.zeros((member.max() + 1, labels.max() + 1), np.int64)
    np.add.at(counts, (member, labels), 1)
    return counts.argmax(axis=1)


def interval(values: np.ndarray) -> list[float] | None:
    """Return the percentile interval [low, high] of 95 % of the finite `values`; None where there are none."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return None
    tail = (1 - _LEVEL) / 2
    return [float(bound) for bound in np.quantile(finite, (tail, 1 - tail))]


def share_interval(drawn: np.ndarray, hit: np.ndarray, groups: np.ndarray) -> list[float] | None:
    """Return the interval of a share (accuracy, sensitivity, specificity) from its bootstrap draws.

    Where every image is hit, or none, all draws are equal: the exact binomial interval (Clopper and Pearson) for as
    many trials as there are groups stands in, since a width of 0 would say more than the set can.

    Args:
        drawn: float [draws]. hit: bool [n], of the images the share is of. groups: int [n], theirs.
    """
    if len(hit) == 0 or len(set(hit.tolist())) > 1:
        return interval(drawn)
    trials = len(np.unique(groups))
    exact = stats.binomtest(trials if hit[0] else 0, trials).proportion_ci(_LEVEL, method="exact")
    return [float(exact.low), float(exact.high)]


def weighted_share(hit: np.ndarray, of: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return float64 [draws], the weighted share of the images `of` that are `hit`, NaN where a draw has none of them.

    Args:
        hit, of: bool [n]. weights: float64 [draws, n].
    """
    with np.errstate(invalid="ignore"):
        return weights @ (hit & of).astype(np.float64) / (weights @ of.astype(np.float64))


def weighted_accuracy(correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return float64 [draws]; `correct` bool [n], `weights` [draws, n]."""
    return weighted_share(correct, np.ones(len(correct), bool), weights)


def weighted_aucs(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return float64 [classes, draws], each class's AUC against the rest; NaN where a draw has one side only."""
    return np.stack([_weighted_auc(labels == c, probabilities[:, c], weights) for c in range(probabilities.shape[1])])


def mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis of what is not NaN; NaN where nothing is."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0.0).sum(axis=0) / defined.sum(axis=0)


def weighted_auc_macro(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return float64 [draws], the mean over classes of the one-against-rest AUC; NaN where no class has both sides."""
    return mean_of_defined(weighted_aucs(labels, probabilities, weights))


def _weighted_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted Mann-Whitney statistic: the share of (positive, negative) pairs in order, ties count half."""
    if not positive.any() or positive.all():
        return np.full(len(weights), np.nan)
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    positives = np.add.reduceat(np.where(positive[order], weights[:, order], 0.0), starts, axis=1)
    negatives = np.add.reduceat(np.where(positive[order], 0.0, weights[:, order]), starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (positives * (below + negatives / 2)).sum(axis=1) / pairs
