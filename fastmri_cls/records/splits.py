"""Which split each image goes to, and why some images are left out.

Groups (duplicates of each other, or slices of one patient) stay whole. scikit-learn's StratifiedGroupKFold meets the
fractions, stratified by class and source together.
"""

import csv
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from fastmri_cls.duplicates.collapse import first_equal
from fastmri_cls.duplicates.groups import label_conflicts
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.records.catalogue import Catalogue
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.records.split_names import KINDS, fold_name

_MAX_FOLDS = 20  # the finest steps in which fractions from 1/20 on are met: every fold costs a pass over the groups


@dataclass(frozen=True)
class SplitTable:
    """A user's CSV: a patient or study id, or a split, for some or all files. Keys are (source or "", filename)."""

    path: Path
    groups: dict[tuple[str, str], str]
    splits: dict[tuple[str, str], str]


@dataclass(frozen=True)
class Assignment:
    """`split` str [n], empty where an image is left out for `reason` str [n]; `clean` bool [n] of the test images.

    A test image is clean when no image that is trained or validated on shares its group.
    """

    split: np.ndarray
    reason: np.ndarray
    clean: np.ndarray


def read_split_table(path: Path) -> SplitTable:
    """Read a CSV with a column `filename` (relative to its source), `group` and/or `split`, and perhaps `source`.

    Raises:
        UserError: the file is missing, has no such columns, names an unknown split, or gives a file two entries.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = set(reader.fieldnames or ())
    except FileNotFoundError:
        raise UserError(f"--split {path}: no such file; give grouped, published or the path of a CSV") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--split {path}: not a readable UTF-8 CSV ({error})") from None
    if "filename" not in columns or not columns & {"group", "split"}:
        raise UserError(
            f"--split {path}: needs the columns filename and group or split; it has {', '.join(sorted(columns))}"
        )
    wrong = sorted({row["split"] for row in rows if row.get("split")} - set(KINDS))
    if wrong:
        raise UserError(f"--split {path}: split {wrong[0]!r} is none of {', '.join(KINDS)}")
    table = SplitTable(path, {}, {})
    for number, row in enumerate(rows, start=2):
        key = (row.get("source") or "", row["filename"] or "")
        for known, entry in ((table.groups, row.get("group")), (table.splits, row.get("split"))):
            if entry and known.setdefault(key, entry) != entry:
                raise UserError(f"--split {path}: line {number}: {key[1]} has another entry already; keep one of them")
    return table


def check_matches(table: SplitTable, catalogue: Catalogue) -> None:
    """Say how many rows name no image: a table that misses its images would silently split as if there were none.

    Raises:
        UserError: not one row does.
    """
    known = {(file.source, file.filename) for file in catalogue.files} | {
        ("", file.filename) for file in catalogue.files
    }
    rows = set(table.groups) | set(table.splits)
    strangers = sorted(rows - known)
    if len(strangers) == len(rows):
        example = catalogue.files[0].filename
        raise UserError(
            f"--split {table.path}: no row names an image; filename is relative to its source, for instance {example}"
        )
    if strangers:
        log.warning(f"--split {table.path}: {len(strangers)} rows name no image (the first: {strangers[0][1]})")


def look_up(table: dict[tuple[str, str], str], catalogue: Catalogue) -> np.ndarray:
    """Return str [n], the table's entry of each image by (source, filename) or by filename alone, else empty."""
    return np.array(
        [table.get((f.source, f.filename)) or table.get(("", f.filename)) or "" for f in catalogue.files], dtype=str
    )


def assign(catalogue: Catalogue, groups: np.ndarray, options: SplitOptions, table: SplitTable | None) -> Assignment:
    """Split the catalogue's images; `groups` int [n] are its copy and patient groups.

    Raises:
        UserError: --leakage fail and there is leakage; a class has too few groups to be divided.
    """
    reason = np.full(len(catalogue), "", dtype="<U32")
    if table is not None and table.splits:
        split = look_up(table.splits, catalogue).astype("<U8")
        reason[split == ""] = "not in the split CSV"
        _apply_leakage(split, groups, reason, options.leakage)
    elif options.method == "published":
        split = _published(catalogue, reason)
        _apply_leakage(split, groups, reason, options.leakage)
    else:
        split = np.full(len(catalogue), "", dtype="<U8")
        _set_aside(catalogue, groups, reason, options.keep_copies)
        kept = reason == ""
        split[kept] = split_grouped(
            catalogue.labels[kept], catalogue.sources[kept], groups[kept], options.test_fraction, options.seed
        )
    split[reason != ""] = ""

    columns = (split, catalogue.labels, catalogue.sources, groups)
    if options.folds:
        split = cut_folds(*columns, options.folds, options.seed)
    elif table is None or not (split == "val").any():  # a CSV with validation images is the last word
        split = cut_validation(*columns, options.val_fraction, options.seed)
    trained_on = ~np.isin(split, ("", "test"))
    return Assignment(split, reason, ~np.isin(groups, groups[trained_on]))


def _published(catalogue: Catalogue, reason: np.ndarray) -> np.ndarray:
    """Return the splits of the folders; a source without any is training data."""
    split, sources = catalogue.given_splits.astype("<U8"), catalogue.sources
    if not (split == "test").any():
        raise UserError(
            "--split published: no source has test images (class folders in a folder named Testing or test); "
            "use --split grouped"
        )
    divided = np.isin(sources, np.unique(sources[split != ""]))
    reason[divided & (split == "")] = "its folders name no split"
    return np.where(divided, split, "train")


def straddling_groups(split: np.ndarray, groups: np.ndarray) -> int:
    """Return how many groups have images in more than one split; images that are left out count nowhere."""
    used = split != ""
    pairs = np.unique(np.stack([groups[used], np.unique(split[used], return_inverse=True)[1]], axis=1), axis=0)
    return int((np.unique(pairs[:, 0], return_counts=True)[1] > 1).sum())


def _apply_leakage(split: np.ndarray, groups: np.ndarray, reason: np.ndarray, leakage: str) -> None:
    leaking = np.isin(split, ("train", "val")) & np.isin(groups, groups[split == "test"])
    if leakage == "fail" and leaking.any():
        repeated = np.isin(groups, groups[leaking]) & (split == "test")
        raise UserError(
            f"--leakage fail: {leaking.sum()} training images repeat {repeated.sum()} test images; "
            "see them with audit, or use --split grouped or --leakage drop"
        )
    if leakage == "drop":
        reason[leaking] = "repeats a test image"


def _set_aside(catalogue: Catalogue, groups: np.ndarray, reason: np.ndarray, keep_copies: bool) -> None:
    if not keep_copies:
        repeats = first_equal(catalogue.fingerprints.digests) != np.arange(len(catalogue))
        reason[repeats] = "exact copy of another"
    reason[np.isin(groups, label_conflicts(groups, catalogue.labels))] = "its group has conflicting labels"


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
