"""Notes on files that were read, but not as the file says or not all of it; counted so that nothing is silent.

A decoder attaches notes to an image. Commands count them and print one line per kind; dataset.json keeps the counts.
"""

from dataclasses import dataclass
from enum import StrEnum


class NoteKind(StrEnum):
    """What happened to a file; the value is the key in dataset.json."""

    PAGES_LEFT_OUT = "pages_left_out"
    SLICES_LEFT_OUT = "slices_left_out"
    AXES_ASSUMED = "axes_assumed"
    COLOUR_DROPPED = "colour_dropped"
    LOW_CONTRAST = "low_contrast"
    OUTLIERS_CLIPPED = "outliers_clipped"
    WINDOW_IGNORED = "window_ignored"
    WINDOW_FUNCTION_IGNORED = "window_function_ignored"
    LOOKUP_TABLE_IGNORED = "lookup_table_ignored"
    RESCALE_IGNORED = "rescale_ignored"
    PADDING_IGNORED = "padding_ignored"
    DESCRIPTION_GUESSED = "description_guessed"
    METADATA_IGNORED = "metadata_ignored"
    ORIENTATION_IGNORED = "orientation_ignored"
    END_MISSING = "end_missing"


_TITLES = {
    NoteKind.PAGES_LEFT_OUT: "one of several pages or frames is used, {amount} left out",
    NoteKind.SLICES_LEFT_OUT: "slices of NIfTI volumes not selected, {amount} left out",
    NoteKind.AXES_ASSUMED: "NIfTI volume without an orientation, axes taken as right, front, up",
    NoteKind.COLOUR_DROPPED: "small coloured parts, stored as grey (--channels 3 keeps the colour)",
    NoteKind.LOW_CONTRAST: "flat image (all pixels within 16 of 256 levels)",
    NoteKind.OUTLIERS_CLIPPED: "a few extreme values, such as a hot pixel, clipped to keep the contrast",
    NoteKind.WINDOW_IGNORED: "unusable DICOM window ignored, full range of values shown",
    NoteKind.WINDOW_FUNCTION_IGNORED: "unusable DICOM VOI LUT Function ignored, LINEAR assumed",
    NoteKind.LOOKUP_TABLE_IGNORED: "unusable DICOM lookup table ignored",
    NoteKind.RESCALE_IGNORED: "unusable DICOM rescale slope or intercept ignored",
    NoteKind.PADDING_IGNORED: "unusable DICOM padding value ignored",
    NoteKind.DESCRIPTION_GUESSED: "DICOM tags that describe the pixels missing, usual values assumed",
    NoteKind.METADATA_IGNORED: "unreadable metadata ignored, pixels complete",
    NoteKind.ORIENTATION_IGNORED: "unreadable EXIF orientation ignored, not rotated",
    NoteKind.END_MISSING: "JPEG end marker missing, pixels complete",
}


@dataclass(frozen=True)
class Note:
    """One remark on one file; `amount` counts within the file (pages left out), else it is 1."""

    kind: NoteKind
    amount: int = 1


@dataclass
class NoteCount:
    """All notes of one kind: number of files, sum of amounts, name of the first file."""

    files: int
    amount: int
    first: str


class NoteCounts:
    """Counts of notes by kind, over many files."""

    def __init__(self) -> None:
        self._counts: dict[NoteKind, NoteCount] = {}

    def add(self, filename: str, notes: tuple[Note, ...]) -> None:
        """Count the notes of one file."""
        for note in notes:
            count = self._counts.setdefault(note.kind, NoteCount(0, 0, filename))
            count.files += 1
            count.amount += note.amount

    def files(self, kind: NoteKind) -> int:
        """Return how many files have a note of `kind`."""
        return self._counts[kind].files if kind in self._counts else 0

    def remove(self, kind: NoteKind) -> None:
        """Forget the notes of `kind`: what they say is no longer so."""
        self._counts.pop(kind, None)

    def lines(self) -> list[str]:
        """Return one sentence per kind, in a fixed order."""
        return [
            f"note: {_TITLES[kind].format(amount=count.amount)}: "
            f"{count.files} file{'s' if count.files > 1 else ''} (the first: {count.first})"
            for kind in NoteKind
            if (count := self._counts.get(kind))
        ]

    def as_json(self) -> dict[str, dict[str, int | str]]:
        """Return {kind: {"files", "amount", "first"}}, in a fixed order."""
        return {
            kind.value: {"files": count.files, "amount": count.amount, "first": count.first}
            for kind in NoteKind
            if (count := self._counts.get(kind))
        }
