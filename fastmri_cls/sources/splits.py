"""Who trains, who validates, who tests: split methods as pure functions on columns.

Groups (near copies, or a patient's slices) are never cut. The fractions are met by scikit-learn's
StratifiedGroupKFold, stratified by class and source together.
"""

import warnings
from fractions import Fraction

import numpy as np

from fastmri_cls.foundation.errors import UserError

_MAX_FOLDS = 20  # fractions are met in steps of at least 1/20


def split_published(
    given: np.ndarray, labels: np.ndarray, sources: np.ndarray, groups: np.ndarray, val_fraction: float, seed: int
) -> np.ndarray:
    """Keep the sources' own Training/Testing; cut validation from Training unless a source brings its own.

    Args:
        given: str [n], "train", "val", "test" or "" (no such folder: counts as training).
        labels, sources: str [n]; groups: int [n].

    Returns:
        str [n] of "train", "val", "test".
    """
    split = np.where(given == "", "train", given).astype("<U5")
    own_validation = np.unique(sources[split == "val"])
    candidates = np.flatnonzero((split == "train") & ~np.isin(sources, own_validation))
    split[candidates[_held_out(labels, sources, groups, candidates, val_fraction, seed)]] = "val"
    return split


def split_grouped(
    labels: np.ndarray, sources: np.ndarray, groups: np.ndarray, val_fraction: float, test_fraction: float, seed: int
) -> np.ndarray:
    """Pool everything; take `test_fraction` of all images as test and `val_fraction` of the rest as validation.

    Returns:
        str [n] of "train", "val", "test"; no group is in two of them.
    """
    split = np.full(len(labels), "train", dtype="<U5")
    everything = np.arange(len(labels))
    split[_held_out(labels, sources, groups, everything, test_fraction, seed)] = "test"
    rest = np.flatnonzero(split == "train")
    split[rest[_held_out(labels, sources, groups, rest, val_fraction, seed)]] = "val"
    return split


def fold_numbers(labels: np.ndarray, sources: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return int [n], the fold 0..folds-1 of each image; groups are kept whole, folds stratified by class and source.

    Raises:
        UserError: a class has fewer images than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        if count < folds:
            raise UserError(
                f"class {label}: its {count} images cannot be spread over {folds} parts; "
                "choose another fraction, fewer --folds or more images"
            )
    strata = [f"{label}/{source}" for label, source in zip(labels, sources, strict=True)]
    numbers = np.empty(len(labels), dtype=np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class that is rare in one source cannot reach every fold
        for number, (_, members) in enumerate(splitter.split(strata, strata, groups)):
            numbers[members] = number
    return numbers


def _held_out(
    labels: np.ndarray, sources: np.ndarray, groups: np.ndarray, subset: np.ndarray, fraction: float, seed: int
) -> np.ndarray:
    """Return bool [len(subset)]: the part of about `fraction` to hold out, a union of stratified group folds."""
    share = Fraction(fraction).limit_denominator(_MAX_FOLDS)
    if share == 0 or len(subset) == 0:
        return np.zeros(len(subset), dtype=bool)
    return fold_numbers(labels[subset], sources[subset], groups[subset], share.denominator, seed) < share.numerator
