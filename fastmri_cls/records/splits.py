"""Which split each image goes to, and why some images are left out.

Groups (duplicates of each other, or slices of one patient) stay whole. scikit-learn's StratifiedGroupKFold meets the
fractions, stratified by class and source together.
"""

import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fastmri_cls.duplicates.collapse import first_equal
from fastmri_cls.duplicates.groups import label_conflicts
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.catalogue import Catalogue
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.records.split_names import fold_name
from fastmri_cls.records.training_part import drop_groups, drop_sources

METHODS = ("grouped", "published")
_MAX_FOLDS = 20  # the finest steps in which fractions from 1/20 on are met: every fold costs a pass over the groups


@dataclass(frozen=True)
class Assignment:
    """`split` str [n], empty where an image is left out for `reason` str [n]; `clean` bool [n] of the test images.

    A test image is clean when no image that is trained or validated on shares its group.
    """

    split: np.ndarray
    reason: np.ndarray
    clean: np.ndarray


def check_method(method: str) -> None:
    """Refuse a --split that is neither method.

    Raises:
        UserError: see above; tables were once given with --split, too.
    """
    if method not in METHODS:
        raise UserError(f"--split {method}: is neither grouped nor published; give a table with --table {method}")


def assign(
    catalogue: Catalogue, copies: np.ndarray, groups: np.ndarray, options: SplitOptions, *, by_table: bool
) -> Assignment:
    """Split the catalogue's images.

    Args:
        catalogue: the images, [n].
        copies: int [n], groups of duplicates.
        groups: int [n], the same joined by patients: what stays together.
        options: how to split.
        by_table: whether a table names the splits.

    Raises:
        UserError: --leakage fail and there is leakage; a class has too few groups to be divided.
    """
    check_method(options.method)
    reason = np.full(len(catalogue), "", dtype="<U40")
    if by_table:
        split = catalogue.given_splits.astype("<U8")
        reason[split == ""] = "no split in the table"
        _apply_leakage(split, copies, groups, reason, options.leakage)
    elif options.method == "published":
        split = _published(catalogue, reason, options.folds)
        _apply_leakage(split, copies, groups, reason, options.leakage)
    else:
        split = np.full(len(catalogue), "", dtype="<U8")
        _set_aside(catalogue, copies, reason, options.keep_copies)
        kept = reason == ""
        split[kept] = split_grouped(
            catalogue.labels[kept], catalogue.sources[kept], groups[kept], options.test_fraction, options.seed
        )
    split[reason != ""] = ""
    drop_sources(split, catalogue.sources, reason, options.train_source)

    columns = (split, catalogue.labels, catalogue.sources, groups)
    has_validation = by_table and (split == "val").any()  # a table that names validation images decides
    if options.folds and np.isin(split, ("train", "val")).any():  # unless they are the published folds already
        split = cut_folds(*columns, options.folds, options.seed)
    elif not options.folds and not has_validation:
        split = cut_validation(*columns, options.val_fraction, options.seed)
    drop_groups(split, catalogue.labels, groups, reason, options)
    trained_on = ~np.isin(split, ("", "test"))
    return Assignment(split, reason, ~np.isin(groups, groups[trained_on]))


def _published(catalogue: Catalogue, reason: np.ndarray, folds: int | None) -> np.ndarray:
    """Return the splits of the folders; a source without any is training data. With `folds`, published ones decide."""
    if folds and (catalogue.given_folds >= 0).any():
        return _published_folds(catalogue, folds)
    split, sources = catalogue.given_splits.astype("<U8"), catalogue.sources
    if not (split == "test").any():
        raise UserError(
            "--split published: no source has test images (class folders in a folder named Testing or test); "
            "use --split grouped"
        )
    divided = np.isin(sources, np.unique(sources[split != ""]))
    reason[divided & (split == "")] = "its folders name no split"
    return np.where(divided, split, "train")


def _published_folds(catalogue: Catalogue, folds: int) -> np.ndarray:
    given = catalogue.given_folds
    without = np.flatnonzero(given < 0)
    if len(without):
        raise UserError(
            f"--split published: source {catalogue.sources[without[0]]} has images without a published fold, others "
            "have one; build the sources apart, or use --split grouped"
        )
    if folds != given.max() + 1:
        raise UserError(f"--folds {folds}: the sources publish {given.max() + 1} folds; give that number")
    return np.array([fold_name(fold) for fold in given.tolist()])


def straddling_groups(split: np.ndarray, groups: np.ndarray) -> int:
    """Return how many groups have images in more than one split; images that are left out count nowhere."""
    used = split != ""
    pairs = np.unique(np.stack([groups[used], np.unique(split[used], return_inverse=True)[1]], axis=1), axis=0)
    return int((np.unique(pairs[:, 0], return_counts=True)[1] > 1).sum())


def _apply_leakage(split: np.ndarray, copies: np.ndarray, groups: np.ndarray, reason: np.ndarray, leakage: str) -> None:
    training, test = np.isin(split, ("train", "val")), split == "test"
    leaking = training & np.isin(groups, groups[test])
    if leakage == "fail" and leaking.any():
        repeated = np.isin(groups, groups[leaking]) & test
        raise UserError(
            f"--leakage fail: {leaking.sum()} training images repeat {repeated.sum()} test images or share a patient "
            "with them; see them with audit, or use --split grouped or --leakage drop"
        )
    if leakage == "drop":
        reason[leaking] = "shares a patient with a test image"
        reason[training & np.isin(copies, copies[test])] = "repeats a test image"


def _set_aside(catalogue: Catalogue, copies: np.ndarray, reason: np.ndarray, keep_copies: bool) -> None:
    if not keep_copies:
        repeats = first_equal(catalogue.fingerprints.digests) != np.arange(len(catalogue))
        reason[repeats] = "exact copy of another"
    # Slices of one patient may well be of two classes; duplicates may not.
    reason[np.isin(copies, label_conflicts(copies, catalogue.labels))] = "its group has conflicting labels"


def check_splits(catalogue: Catalogue, assignment: Assignment, options: BuildOptions) -> None:
    """Stop when no image is left at all, or a class ends without an image in a split that is not empty.

    Raises:
        UserError: see above.
    """
    if not (assignment.split != "").any():
        all_reasons = ", ".join(sorted(set(assignment.reason.tolist()) - {""}))
        raise UserError(f"no image is left for any split ({all_reasons}); see audit, or choose another --split")
    if options.allow_missing_classes:
        return
    classes = set(catalogue.labels.tolist())
    for split in np.unique(assignment.split[assignment.split != ""]):
        missing = sorted(classes - set(catalogue.labels[assignment.split == split].tolist()))
        if missing:
            label = missing[0]
            reasons = sorted(set(assignment.reason[catalogue.labels == label].tolist()) - {""})
            why = f" ({', '.join(reasons)})" if reasons else ""
            raise UserError(
                f"class {label}: no image of it is left for {split}{why}; choose another --split or --leakage, "
                "or add --allow-missing-classes"
            )


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
        split: str [n] of "train", "val", "test" or "" (left out).
        labels: str [n].
        sources: str [n].
        groups: int [n], what stays together.
        val_fraction: fraction of the images to divide.
        seed: of the division.

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
