"""Two models on the same images: McNemar's exact test of accuracy, DeLong's of the AUC, Holm's correction of several.

Both tests take images as independent. The intervals of the differences, from a bootstrap over groups, do not; every
report has both. Sources: McNemar 1947 (exact: binomial); DeLong, DeLong and Clarke-Pearson 1988,
by midranks as in Sun and Xu 2014; Holm 1979. How large a difference such a test can show: Connor 1987, Sample size for
testing differences in proportions for the paired-sample design, Biometrics 43, 207-211.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

SIGNIFICANCE = 0.05
POWER = 0.8


class McNemar(NamedTuple):
    """Images that only the first model classifies correctly, those that only the second does; the two-sided p-value."""

    only_first: int
    only_second: int
    p: float


class DeLong(NamedTuple):
    """First AUC minus second, its standard error, and the two-sided p-value.

    The standard error is None if it cannot be estimated: a class has a single image. The p-value is None then, and if
    the standard error is 0 and the difference is not.
    """

    difference: float
    standard_error: float | None
    p: float | None


def mcnemar(first_correct: np.ndarray, second_correct: np.ndarray) -> McNemar:
    """Test whether two models are right equally often; bool [n] each, of the same images."""
    only_first = int((first_correct & ~second_correct).sum())
    only_second = int((~first_correct & second_correct).sum())
    discordant = only_first + only_second
    p = float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return McNemar(only_first, only_second, p)


def delong(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> DeLong:
    """Test whether two scores [n] of the same images separate `positive` bool [n] from the rest equally well."""
    return _test(auc_components(positive, first) - auc_components(positive, second), positive.astype(int))


def delong_macro(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> DeLong:
    """Test whether two models have the same mean over classes of the one-vs-rest AUC.

    An image is a positive of its own class and a negative of all others, so its contribution to the mean is the mean of
    its contributions to the AUCs. Images are independent draws from their class, so the classes are the strata of the
    variance. With two classes this is DeLong's test.

    Args:
        labels: int [n]; the test is not defined, and its p-value None, if all are of one class.
        first: probabilities [n, classes].
        second: likewise.
    """
    present = np.unique(labels)
    if len(present) < 2:
        return DeLong(0.0, 0.0, None)
    contributions = [
        auc_components(labels == c, first[:, c]) - auc_components(labels == c, second[:, c]) for c in present
    ]
    return _test(np.mean(contributions, axis=0), labels)


def auc_components(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return each image's contribution to the AUC, float64 [n]: those of the positives sum to it, the others' as well.

    DeLong's structural components V10 / m and V01 / n: the fraction of the images of the other side with which an image
    is in the right order, divided by the number of images of its own side.
    """
    ranks, positives, negatives = stats.rankdata(scores), int(positive.sum()), int((~positive).sum())
    components = np.empty(len(scores))
    components[positive] = (ranks[positive] - stats.rankdata(scores[positive])) / negatives / positives
    components[~positive] = (positives - ranks[~positive] + stats.rankdata(scores[~positive])) / positives / negatives
    return components


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values corrected for their number by Holm's step-down rule; None stays and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[place] = largest
    return corrected


def detectable_difference(differences: np.ndarray, standard_error: float) -> float | None:
    """Return the smallest difference of two accuracies that a two-sided paired test at 5 % shows in 80 % of cases.

    Connor's formula, n = (z_a sqrt(psi) + z_b sqrt(psi - delta^2))^2 / delta^2, solved for delta. psi is the fraction
    of images on which the two differ, or delta where that is larger. n is the effective number of images: as many
    independent ones as would give the standard error that a bootstrap over groups has, at most those there are.

    Args:
        differences: float [n], for each image how much more often the first is right, -1 to 1.
        standard_error: of their mean, from a bootstrap over groups.

    Returns:
        The difference, 0 to 1; None if the two never differ, or the images are too few for any.
    """
    observed = float(np.mean(differences**2))
    if observed == 0 or standard_error == 0:
        return None
    variance = observed - float(np.mean(differences)) ** 2
    n = min(variance / standard_error**2, len(differences))
    z_a, z_b = stats.norm.ppf(1 - SIGNIFICANCE / 2), stats.norm.ppf(POWER)

    def surplus(delta: float) -> float:
        psi = max(observed, delta)
        return float(n * delta**2 - (z_a * np.sqrt(psi) + z_b * np.sqrt(psi - delta**2)) ** 2)

    if surplus(1.0) <= 0:
        return None
    return float(optimize.brentq(surplus, 1e-9, 1.0))


def _test(contributions: np.ndarray, strata: np.ndarray) -> DeLong:
    """Test a difference of AUCs by each image's contribution to it; images of a stratum are independent draws."""
    if not contributions.any():  # equal scores, as far as their order goes
        return DeLong(0.0, 0.0, 1.0)
    difference = float(contributions.sum() / 2)  # positives and negatives both sum to it
    parts = [contributions[strata == stratum] for stratum in np.unique(strata)]
    if min(map(len, parts)) < 2:
        return DeLong(difference, None, None)
    error = float(np.sqrt(sum(len(part) * float(np.var(part, ddof=1)) for part in parts)))
    if error == 0.0:
        return DeLong(difference, error, 1.0 if difference == 0 else None)
    return DeLong(difference, error, float(2 * stats.norm.sf(abs(difference) / error)))
