"""Where the ids of patients come from; see patients.py for what is done with them.

An id comes from a table, else from the file itself (DICOM's PatientID, else StudyInstanceUID; PID of figshare's .mat),
else from the file name by a pattern. Equal ids in two sources are taken for one patient: the safe side for a split.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.records.patients import UNKNOWN, Patients
from fastmri_cls.sources.folders import SourceFile, printable
from fastmri_cls.sources.patient_tags import PatientTags

_NEARLY_ALL = 0.9  # more ids than this fraction of the images looks like a number of the image, not of the patient
_ENOUGH = 10  # images; fewer can all be of different patients


def find_patients(
    files: Sequence[SourceFile], tags: Sequence[PatientTags | None], pattern: re.Pattern[str] | None
) -> Patients:
    """Return the patients of images, and question ids that look like something else.

    Args:
        files: the images, [n].
        tags: what the files tell, [n], None for formats that tell nothing.
        pattern: searched in a file's name relative to its source; its first group is the id.

    Raises:
        UserError: the pattern matches no file.
    """
    ids = [file.patient for file in files]
    origins = [file.patient_origin if file.patient else "" for file in files]
    for index, (patient, origin) in enumerate(_ids_in_files(files, tags)):
        if not ids[index] and patient:
            ids[index], origins[index] = patient, origin
    if pattern is not None:
        _match_names(files, pattern, ids, origins)
    by_kind: dict[tuple[str, str], list[str]] = {}  # (source, origin) -> ids
    for file, patient, origin in zip(files, ids, origins, strict=True):
        if patient:
            by_kind.setdefault((file.source, origin), []).append(patient)
    for (source, origin), found in by_kind.items():
        _question(f"source {source}: patients from {origin}", found)
    codes = np.unique(np.array(ids, dtype=str), return_inverse=True)[1].astype(np.int64)
    codes[np.array([not patient for patient in ids], dtype=bool)] = UNKNOWN
    return Patients(codes, np.array(origins, dtype=object))


def compile_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """Return --patient-pattern compiled.

    Raises:
        UserError: it is no regular expression with a group.
    """
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--patient-pattern {pattern}: is no regular expression ({error})") from None
    if not compiled.groups:
        raise UserError(f"--patient-pattern {pattern}: has no group; put the id in parentheses, as '(sub-[0-9]+)'")
    return compiled


def _ids_in_files(files: Sequence[SourceFile], tags: Sequence[PatientTags | None]) -> Iterator[tuple[str, str]]:
    """Yield the id of each image and the tag it is from.

    If all files of a source have one id, it is taken for the placeholder of an anonymised source, and the study tells
    patients apart in its place. It is a real id if another source has it as one of several.
    """
    by_kind: dict[tuple[str, str], list[PatientTags]] = {}  # (source, tag) -> what its files tell
    for file, tag in zip(files, tags, strict=True):
        if tag is not None:
            by_kind.setdefault((file.source, tag.origin), []).append(tag)
    in_use = {tag.patient for found in by_kind.values() if not _one_for_all(t.patient for t in found) for tag in found}
    useful = {kind: _useful(kind[0], found, in_use) for kind, found in by_kind.items()}
    for file, tag in zip(files, tags, strict=True):
        if tag is None:
            yield "", ""
        elif tag.patient and "patient" in useful[file.source, tag.origin]:
            yield tag.patient, tag.origin
        elif tag.study and "study" in useful[file.source, tag.origin]:
            yield f"study {tag.study}", "StudyInstanceUID"
        else:
            yield "", ""


def _useful(source: str, tags: list[PatientTags], in_use: set[str]) -> set[str]:
    """Return which of `patient` and `study` tell patients of a source apart; warn of a placeholder.

    Args:
        source: the source's name.
        tags: what its files tell.
        in_use: ids that are known to be no placeholders.
    """
    placeholder = _one_for_all(tag.patient for tag in tags) - in_use
    useful: set[str] = set() if placeholder or not any(tag.patient for tag in tags) else {"patient"}
    if any(tag.study for tag in tags) and not _one_for_all(tag.study for tag in tags):
        useful.add("study")
    if placeholder:
        then = "StudyInstanceUID is used in its place" if "study" in useful else "patients of these files are unknown"
        log.warning(
            f"source {source}: {tags[0].origin} is the same in all {len(tags)} files, taken for a placeholder; {then}"
        )
    return useful


def _one_for_all(ids: Iterable[str]) -> set[str]:
    """Return the id if two or more files all have the same one; else nothing."""
    counts = Counter(ids)
    return set(counts) - {""} if len(counts) == 1 and counts.total() > 1 else set()


def _match_names(files: Sequence[SourceFile], pattern: re.Pattern[str], ids: list[str], origins: list[str]) -> None:
    unmatched = []
    matched = 0
    for index, file in enumerate(files):
        if ids[index]:
            continue
        match = pattern.search(file.filename)
        if match and match.group(1):
            ids[index], origins[index] = match.group(1), "file names"
            matched += 1
        else:
            unmatched.append(printable(file.filename))
    if unmatched and not matched:
        raise UserError(f"--patient-pattern {pattern.pattern}: matches no file name, for instance {unmatched[0]}")
    if unmatched:
        log.warning(
            f"--patient-pattern {pattern.pattern}: does not match {len(unmatched)} file names "
            f"(the first: {unmatched[0]}); their patients are unknown"
        )


def _question(which: str, ids: list[str]) -> None:
    """Warn of ids that cannot tell patients apart, or tell every image apart; `which` begins the line."""
    different = len(set(ids))
    if len(ids) > 1 and different == 1:
        log.warning(f"{which}: one id for all {len(ids)} images; is it an id of the patient?")
    elif len(ids) >= _ENOUGH and different > _NEARLY_ALL * len(ids):
        log.warning(
            f"{which}: {different} ids for {len(ids)} images; is it an id of the patient, not of the image? Slices of "
            "one patient would be on both sides"
        )
