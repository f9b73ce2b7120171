"""Confidence intervals that respect groups: a cluster bootstrap, stratified by class.

Images of one group (near duplicates, or slices of one patient) are not independent, so whole groups are drawn with
replacement. A draw is a weight for each image, and a metric is a function of weights, computed for many draws at once.
Every draw has as many groups of each class as the set itself. A group with several classes (duplicates with conflicting
labels) counts for the class most of its images have; a tie goes to the first class in label order.
"""

from collections.abc import Iterator

import numpy as np
from scipy import stats

DRAWS = 2000
LEVEL = 0.95
_BLOCK = 250  # draws at once: 250 x 10 000 images are 20 MB

Bounds = tuple[float, float]


def cluster_bootstrap(groups: np.ndarray, labels: np.ndarray, seed: int, draws: int = DRAWS) -> Iterator[np.ndarray]:
    """Yield the weights of the draws in blocks: how often each image is in each draw of whole groups.

    Args:
        groups: the group of each image, [n] of any type that sorts.
        labels: int [n].
        seed: of the draws.
        draws: how many draws in all.

    Yields:
        float64 [draws in the block, n].
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
    return np.asarray(counts.argmax(axis=1))


def percentile_ci(values: np.ndarray) -> Bounds | None:
    """Return the 95 % percentile interval of the finite `values`; None if there are none, or all are equal.

    If all draws give one value (one group in each class, an AUC of 1), they do not show how uncertain it is.
    """
    finite = values[np.isfinite(values)]
    if len(finite) == 0 or finite.min() == finite.max():
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(finite, (tail, 1 - tail))
    return float(low), float(high)


def proportion_ci(drawn: np.ndarray, hit: np.ndarray, groups: np.ndarray) -> Bounds | None:
    """Return the 95 % interval of a proportion (accuracy, sensitivity, specificity) from its bootstrap draws.

    If all images are hit, or none, the bootstrap is degenerate; the exact binomial interval (Clopper and Pearson) with
    the number of groups as n takes its place. Otherwise as `percentile_ci`.

    Args:
        drawn: the proportion in each draw, float [draws].
        hit: bool [n], one entry for each image that counts.
        groups: [n], their groups.
    """
    if len(hit) == 0 or len(set(hit.tolist())) > 1:
        return percentile_ci(drawn)
    trials = len(np.unique(groups))
    return _exact_ci(trials if hit[0] else 0, trials)


def difference_ci(drawn: np.ndarray, differences: np.ndarray, groups: np.ndarray) -> Bounds | None:
    """Return the 95 % interval of the difference of two models' accuracies from its bootstrap draws.

    If the models agree on all images, or one is right and the other wrong on all, the bootstrap is degenerate. The
    exact binomial interval of the fraction of groups on which they differ takes its place; the difference is at most
    that fraction.

    Args:
        drawn: the difference in each draw, float [draws].
        differences: the difference on each image, float [n], -1 to 1.
        groups: [n], the groups of the images.
    """
    trials, first = len(np.unique(groups)), float(differences[0])
    if first not in (-1, 0, 1) or (differences != first).any():
        return percentile_ci(drawn)
    if first == 0:
        _, most = _exact_ci(0, trials)
        return -most, most
    least, _ = _exact_ci(trials, trials)
    return (least, 1.0) if first > 0 else (-1.0, -least)


def _exact_ci(hits: int, trials: int) -> Bounds:
    """Return the exact binomial interval (Clopper and Pearson)."""
    found = stats.binomtest(hits, trials).proportion_ci(LEVEL, method="exact")
    return float(found.low), float(found.high)


def weighted_proportion(hit: np.ndarray, counted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted fraction of the images `counted` that are `hit`.

    Args:
        hit: bool [n].
        counted: bool [n].
        weights: float64 [draws, n].

    Returns:
        float64 [draws]; NaN for a draw without counted images.
    """
    with np.errstate(invalid="ignore"):
        fraction: np.ndarray = weights @ (hit & counted).astype(np.float64) / (weights @ counted.astype(np.float64))
    return fraction


def weighted_accuracy(correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the accuracy in each draw, float64 [draws]; `correct` is bool [n], `weights` float64 [draws, n]."""
    return weighted_proportion(correct, np.ones(len(correct), bool), weights)


def weighted_aucs(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the one-vs-rest AUC of each class in each draw, float64 [classes, draws]; NaN where it is not defined."""
    return np.stack([_weighted_auc(labels == c, probabilities[:, c], weights) for c in range(probabilities.shape[1])])


def weighted_auc_macro(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean over classes of the one-vs-rest AUC in each draw, float64 [draws]; NaN where none is defined."""
    return mean_of_defined(weighted_aucs(labels, probabilities, weights))


def mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Return the mean of the finite values along the first axis; NaN where there are none."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(defined, values, 0.0).sum(axis=0) / defined.sum(axis=0)
    return mean


def _weighted_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted Mann-Whitney statistic: the fraction of pairs in order, ties count half."""
    if not positive.any() or positive.all():
        return np.full(len(weights), np.nan)
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    positives = np.add.reduceat(np.where(positive[order], weights[:, order], 0.0), starts, axis=1)
    negatives = np.add.reduceat(np.where(positive[order], 0.0, weights[:, order]), starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auc: np.ndarray = (positives * (below + negatives / 2)).sum(axis=1) / pairs
    return auc
