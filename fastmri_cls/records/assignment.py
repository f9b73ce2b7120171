"""Which split each image of a catalogue goes to, and why some go nowhere."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastmri_cls.audit.groups import label_conflicts
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.catalogue import Catalogue
from fastmri_cls.sources.splits import split_grouped, split_published

_SPLIT_NAMES = ("train", "val", "test")


@dataclass(frozen=True)
class SplitOptions:
    """How images are split.

    Fields:
        method: `grouped`, `published`, or the path of a CSV.
        val_fraction: share of what is not test. test_fraction: share of everything (`grouped` alone).
        leakage: what `published` does with training images that a test image repeats: report, drop or fail.
        keep_copies: keep exact copies where `grouped` would keep one of them.
    """

    method: str = "grouped"
    val_fraction: float = 0.2
    test_fraction: float = 0.2
    leakage: str = "report"
    keep_copies: bool = False
    seed: int = 0


@dataclass(frozen=True)
class SplitTable:
    """A user's CSV: a patient or study id, or a split, for some or all files. Keys are (source or "", filename)."""

    groups: dict[tuple[str, str], str]
    splits: dict[tuple[str, str], str]


@dataclass(frozen=True)
class Assignment:
    """`split` str [n], empty where an image is left out for `reason` str [n]; `clean` bool [n] of the test images."""

    split: np.ndarray
    reason: np.ndarray
    clean: np.ndarray


def read_split_table(path: Path) -> SplitTable:
    """Read a CSV with a column `filename` (relative to its source), `group` and/or `split`, and perhaps `source`.

    Raises:
        UserError: the file is missing, has no such columns, or names another split than train, val or test.
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
        raise UserError(f"--split {path}: needs the columns filename and group or split; it has {sorted(columns)}")
    wrong = sorted({row["split"] for row in rows if row.get("split")} - set(_SPLIT_NAMES))
    if wrong:
        raise UserError(f"--split {path}: split {wrong[0]!r} is none of {', '.join(_SPLIT_NAMES)}")
    keys = [(row.get("source") or "", row["filename"]) for row in rows]
    return SplitTable(
        groups={key: row["group"] for key, row in zip(keys, rows, strict=True) if row.get("group")},
        splits={key: row["split"] for key, row in zip(keys, rows, strict=True) if row.get("split")},
    )


def look_up(table: dict[tuple[str, str], str], catalogue: Catalogue) -> np.ndarray:
    """Return str [n], the table's entry of each image by (source, filename) or by filename alone, else empty."""
    return np.array(
        [table.get((f.source, f.filename)) or table.get(("", f.filename)) or "" for f in catalogue.files], dtype=str
    )


def assign(catalogue: Catalogue, groups: np.ndarray, options: SplitOptions, table: SplitTable | None) -> Assignment:
    """Split the catalogue's images; `groups` int [n] are its copy and patient groups.

    Raises:
        UserError: --leakage fail and there is leakage; a CSV's splits cut groups; too few images of a class.
    """
    labels, sources = catalogue.labels, catalogue.sources
    reason = np.full(len(catalogue), "", dtype=object)
    if table is not None and table.splits:
        split = _given(look_up(table.splits, catalogue), reason)
    elif options.method == "published":
        split = split_published(catalogue.given_splits, labels, sources, groups, options.val_fraction, options.seed)
        _apply_leakage(split, groups, reason, options.leakage)
    else:
        _set_aside(catalogue, groups, reason, options.keep_copies)
        kept = np.flatnonzero(reason == "")
        split = np.full(len(catalogue), "", dtype="<U5")
        split[kept] = split_grouped(
            labels[kept], sources[kept], groups[kept], options.val_fraction, options.test_fraction, options.seed
        )
    split = np.where(reason == "", split, "")
    trained_on = np.isin(split, ("train", "val"))
    return Assignment(split, reason, ~np.isin(groups, groups[trained_on]))


def _given(splits: np.ndarray, reason: np.ndarray) -> np.ndarray:
    reason[splits == ""] = "not in the split CSV"
    return splits


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
        first: dict[str, int] = {}
        for index, print_ in enumerate(catalogue.fingerprints):
            kept = first.setdefault(print_.sha256, index)
            if kept != index:
                original = catalogue.files[kept]
                reason[index] = f"exact copy of {original.source}/{original.filename}"
    reason[np.isin(groups, label_conflicts(groups, catalogue.labels))] = "its group has conflicting labels"
