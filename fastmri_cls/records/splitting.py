"""Who trains, who validates, who tests: split methods as pure functions on columns.

Groups (near copies, or a patient's slices) are never cut. The fractions are met by scikit-learn's
StratifiedGroupKFold, stratified by class and source together.
"""

import warnings
from fractions import Fraction

import numpy as np

from fastmri_cls.foundation.errors import UserError

_MAX_FOLDS = 20  # the finest steps in which fractions from 1/20 on are met: every fold costs a pass over the groups


def fold_name(number: int) -> str:
    """Return the name of a fold's split."""
    return f"fold-{number}"


def split_grouped(
    labels: np.ndarray, sources: np.ndarray, groups: np.ndarray, test_fraction: float, seed: int
) -> np.ndarray:
    """Pool everything and take `test_fraction` of all images as test.

    Returns:
        str [n] of "train", "test"; no group is in both.
    """
    split = np.full(len(labels), "train", dtype="<U8")
    split[_held_out(labels, sources, groups, test_fraction, seed)] = "test"
    return split


def cut_validation(
    split: np.ndarray, labels: np.ndarray, sources: np.ndarray, groups: np.ndarray, val_fraction: float, seed: int
) -> np.ndarray:
    """Cut `val_fraction` off the training images of every source that brings no validation of its own.

    Args:
        split: str [n] of "train", "val", "test" or "" (left out). labels, sources: str [n]. groups: int [n].

    Returns:
        str [n], `split` with some "train" turned into "val"; no group of the images that were divided is in both.
    """
    own_validation = np.unique(sources[split == "val"])
    candidates = np.flatnonzero((split == "train") & ~np.isin(sources, own_validation))
    held_out = _held_out(labels[candidates], sources[candidates], groups[candidates], val_fraction, seed)
    divided = split.copy()
    divided[candidates[held_out]] = "val"
    return divided


def cut_folds(
    split: np.ndarray, labels: np.ndarray, sources: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """Divide the training and validation images into `folds` splits, `fold_name(0)` and so on; see `cut_validation`."""
    pool = np.flatnonzero(np.isin(split, ("train", "val")))
    numbers = fold_numbers(labels[pool], sources[pool], groups[pool], folds, seed)
    divided = split.copy()
    divided[pool] = [fold_name(number) for number in numbers]
    return divided


def fold_numbers(labels: np.ndarray, sources: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return int [n], the fold 0..folds-1 of each image; groups are kept whole, folds stratified by class and source.

    Raises:
        UserError: a class has fewer groups than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    for label in np.unique(labels):
        independent = len(np.unique(groups[labels == label]))
        if independent < folds:
            raise UserError(
                f"class {label}: its {independent} independent groups cannot be spread over {folds} parts; "
                "choose another fraction, fewer --folds or more images"
            )
    numbers = np.empty(len(labels), dtype=np.int64)
    strata = _strata(labels, sources, folds)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class that is rare in one source cannot reach every fold
        for number, (_, members) in enumerate(splitter.split(strata, strata, groups)):
            numbers[members] = number
    return numbers


def _strata(labels: np.ndarray, sources: np.ndarray, folds: int) -> np.ndarray:
    """Class and source; the class alone where it has too few images in that source to reach every fold."""
    names = np.array([f"{label}/{source}" for label, source in zip(labels, sources, strict=True)])
    _, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    return np.where(counts[inverse] >= folds, names, labels)


def _held_out(labels: np.ndarray, sources: np.ndarray, groups: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Return bool [n]: the part of about `fraction` to hold out, a union of stratified group folds."""
    if fraction == 0 or len(labels) == 0:
        return np.zeros(len(labels), dtype=bool)
    few_folds = fraction * _MAX_FOLDS >= 1
    share = Fraction(fraction).limit_denominator(_MAX_FOLDS) if few_folds else Fraction(1, round(1 / fraction))
    return fold_numbers(labels, sources, groups, share.denominator, seed) < share.numerator
