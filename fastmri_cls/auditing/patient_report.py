"""What an audit found about patients, for people: sentences and tables; counts and file names, never an id."""

import msgspec

from fastmri_cls.auditing.findings import Findings
from fastmri_cls.foundation.tables import Table
from fastmri_cls.records.patient_counts import Inheritance, PatientCounts

_MAX_CONTRADICTIONS = 50  # rows; audit.json has them all


def patient_sentences(findings: Findings) -> list[str]:
    """Return what is known of patients, and what `--inherit patients` found, in words."""
    counts = _counts(findings)
    sentences = counts.lines()
    if found := counts.inherited:
        sentences += [
            f"{found.images:,} of {found.without:,} images without a patient got that of an image they duplicate. "
            f"{found.duplicate_groups:,} groups of duplicates form {found.patient_groups:,} groups once the images of "
            "a patient are joined.",
            _two_patients(found),
            f"{len(found.contradictions):,} images have another label than the original they inherit from.",
        ]
    return sentences


def patient_tables(findings: Findings) -> list[Table]:
    """Return the tables of inherited patients and of labels that contradict the original; empty without any."""
    found = _counts(findings).inherited
    if found is None:
        return []
    splits = [
        (source, split, classes) for source, by_split in found.by_source.items() for split, classes in by_split.items()
    ]
    names = sorted({name for _, _, classes in splits for name in classes})
    more = len(found.contradictions) - _MAX_CONTRADICTIONS
    tables = [
        Table(
            "inherited-patients",
            "Images that got the patient of a duplicate",
            ("source", "split", *names),
            [(source, split, *(_share(classes.get(name)) for name in names)) for source, split, classes in splits],
            "Of the images without a patient of their own.",
        ),
        Table(
            "contradictions",
            "Labels that contradict the original's",
            ("image", "label", "original", "the original's label"),
            [
                (row["image"], row["label"], row["original"], row["original_label"])
                for row in found.contradictions[:_MAX_CONTRADICTIONS]
            ],
            f"audit.json lists {more:,} more." if more > 0 else "",
        ),
    ]
    return [table for table in tables if table.rows]


def _counts(findings: Findings) -> PatientCounts:
    return msgspec.convert(findings["patients"], PatientCounts)


def _share(found: tuple[int, int] | None) -> str:
    return f"{found[0]:,} of {found[1]:,}" if found else "none"


def _two_patients(found: Inheritance) -> str:
    if not found.groups_with_two_patients:
        return "No group of duplicates holds two patients."
    return (
        f"{found.groups_with_two_patients:,} groups of duplicates hold two patients: false duplicates, or wrong ids. "
        "Their images got none."
    )
