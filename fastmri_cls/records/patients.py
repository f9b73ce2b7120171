"""Patients: which images show the same patient, and what is known about that. Ids stay in memory; counts leave.

An id comes from a table, else from the file itself (DICOM's PatientID, else StudyInstanceUID; PID of figshare's .mat),
else from the file name by a pattern. Equal ids in two sources are taken for one patient: the safe side for a split.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.records.patient_counts import Inheritance, PatientCounts, PatientOverlap
from fastmri_cls.sources.folders import SourceFile, printable
from fastmri_cls.sources.patient_tags import PatientTags

INHERITED = "duplicates"
_UNKNOWN = -1
_NEARLY_ALL = 0.9  # more ids than this fraction of the images looks like a number of the image, not of the patient
_ENOUGH = 10  # images; fewer can all be of different patients


@dataclass(frozen=True)
class Patients:
    """The patient of each image.

    Attributes:
        codes: int64 [n], equal for images of one patient; -1 for unknown.
        origins: str [n], where the id comes from; empty for unknown.
    """

    codes: np.ndarray
    origins: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Whether the patient is known, bool [n]."""
        known: np.ndarray = self.codes != _UNKNOWN
        return known


def unknown_patients(n: int) -> Patients:
    """Return the patients of `n` images of which nothing is known."""
    return Patients(np.full(n, _UNKNOWN), np.full(n, "", dtype=object))


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
    for index, (patient, origin) in enumerate(_ids_in_files(tags)):
        if not ids[index] and patient:
            ids[index], origins[index] = patient, origin
    if pattern is not None:
        _match_names(files, pattern, ids, origins)
    for origin in dict.fromkeys(origin for origin in origins if origin):
        _question(origin, [patient for patient, where in zip(ids, origins, strict=True) if where == origin])
    codes = np.unique(np.array(ids, dtype=str), return_inverse=True)[1].astype(np.int64)
    codes[np.array([not patient for patient in ids], dtype=bool)] = _UNKNOWN
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


def join_groups(groups: np.ndarray, patients: Patients, volumes: np.ndarray | None = None) -> np.ndarray:
    """Return int64 [n], `groups` of duplicates joined wherever they share a patient or a volume.

    Args:
        groups: int [n], groups of duplicates.
        patients: of each image.
        volumes: str [n], what each image is a slice of, empty for none.

    Returns:
        The smallest index of each group.
    """
    n = size = len(groups)
    rows, nodes = [np.arange(n)], [groups]  # a node for each image, each patient and each volume
    shared = [(patients.codes, patients.known)]
    if volumes is not None:
        shared.append((volumes, volumes != ""))
    for keys, known in shared:
        if known.any():
            _, numbers = np.unique(keys[known], return_inverse=True)
            rows.append(np.flatnonzero(known))
            nodes.append(size + numbers)
            size += int(numbers.max()) + 1
    if size == n:
        return groups
    row, node = np.concatenate(rows), np.concatenate(nodes)
    _, component = connected_components(coo_array((np.ones(len(row)), (row, node)), shape=(size, size)), False)
    _, smallest, inverse = np.unique(component[:n], return_index=True, return_inverse=True)
    return smallest[inverse].astype(np.int64)


def inherit(
    patients: Patients, groups: np.ndarray, labels: np.ndarray, names: Sequence[str], columns: Sequence[np.ndarray]
) -> tuple[Patients, Inheritance]:
    """Give images without a patient that of the image they duplicate.

    A group of duplicates with two patients gives none: it would be a guess which.

    Args:
        patients: what is known so far.
        groups: int [n], groups of duplicates.
        labels: str [n].
        names: source/filename of each image, [n].
        columns: sources and splits, str [n] each, by which to count.

    Returns:
        The patients with those that were inherited, and the counts.
    """
    known = np.flatnonzero(patients.known)
    of_group: dict[int, int] = {}
    conflicting = set()
    for index in known.tolist():
        first = of_group.setdefault(int(groups[index]), index)
        if patients.codes[first] != patients.codes[index]:
            conflicting.add(int(groups[index]))
    codes, origins = patients.codes.copy(), patients.origins.copy()
    contradictions = []
    for index in np.flatnonzero(~patients.known).tolist():
        group = int(groups[index])
        original = of_group.get(group)
        if original is None or group in conflicting:
            continue
        codes[index], origins[index] = codes[original], INHERITED
        if labels[index] != labels[original]:
            contradictions.append(
                {"image": names[index], "label": str(labels[index]), "original": names[original],
                 "original_label": str(labels[original])}
            )  # fmt: skip
    found = Patients(codes, origins)
    counts: dict[str, dict[str, dict[str, tuple[int, int]]]] = {}
    without = ~patients.known
    sources, splits = columns
    for source in dict.fromkeys(sources[without].tolist()):
        for split in dict.fromkeys(splits[without & (sources == source)].tolist()):
            for label in np.unique(labels[without & (sources == source) & (splits == split)]).tolist():
                here = without & (sources == source) & (splits == split) & (labels == label)
                by_split = counts.setdefault(source, {}).setdefault(split or "all", {})
                by_split[label] = (int((here & found.known).sum()), int(here.sum()))
    report = Inheritance(
        images=int((found.known & without).sum()),
        without=int(without.sum()),
        by_source=counts,
        duplicate_groups=len(np.unique(groups)),
        patient_groups=len(np.unique(join_groups(groups, found))),
        groups_with_two_patients=len(conflicting),
        contradictions=contradictions,
    )
    return found, report


def count_patients(
    patients: Patients,
    split: np.ndarray,
    sources: np.ndarray,
    volumes: np.ndarray,
    test: np.ndarray,
    training: np.ndarray,
    inherited: Inheritance | None = None,
) -> PatientCounts:
    """Return what dataset.json and audit.json say about patients.

    Args:
        patients: of each image.
        split: str [n], empty for images that are left out.
        sources: str [n].
        volumes: str [n], what each image is a slice of, empty for none.
        test: bool [n], the test images.
        training: bool [n], the images a model is trained or tuned on.
        inherited: what `inherit` counted.
    """
    used = patients.known & (split != "")
    pairs = set(zip(patients.codes[used].tolist(), split[used].tolist(), strict=True))
    straddling = sum(count > 1 for count in Counter(code for code, _ in pairs).values())
    tests = {}
    for source in dict.fromkeys(sources[test].tolist()):
        of_source = sources == source
        here = test & of_source
        tests[source] = PatientOverlap(
            images=int(here.sum()),
            known=int((here & patients.known).sum()),
            in_own_training=_repeated(patients, here, training & of_source),
            in_training=_repeated(patients, here, training),
        )
    return PatientCounts(
        patients=len(np.unique(patients.codes[patients.known])),
        images=len(patients.codes),
        known=int(patients.known.sum()),
        origins=dict(Counter(origin for origin in patients.origins.tolist() if origin)),
        straddling=straddling,
        tests=tests,
        volumes=len(np.unique(volumes[~patients.known & (volumes != "")])),
        inherited=inherited,
    )


def _repeated(patients: Patients, test: np.ndarray, training: np.ndarray) -> int:
    return int(np.isin(patients.codes[test & patients.known], patients.codes[training & patients.known]).sum())


def _ids_in_files(tags: Sequence[PatientTags | None]) -> Iterator[tuple[str, str]]:
    """Yield the id of each image and the tag it is from.

    An id that all of several files share is a placeholder of an anonymised set; then the study tells patients.
    """
    origins = dict.fromkeys(tag.origin for tag in tags if tag is not None)
    useful = {origin: _useful([tag for tag in tags if tag is not None and tag.origin == origin]) for origin in origins}
    for tag in tags:
        if tag is None:
            yield "", ""
        elif tag.patient and "patient" in useful[tag.origin]:
            yield tag.patient, tag.origin
        elif tag.study and "study" in useful[tag.origin]:
            yield f"study {tag.study}", "StudyInstanceUID"
        else:
            yield "", ""


def _useful(tags: list[PatientTags]) -> set[str]:
    """Return which of `patient` and `study` tell patients apart; warn of a placeholder."""
    useful = {"patient": [tag.patient for tag in tags], "study": [tag.study for tag in tags]}
    useful = {name: values for name, values in useful.items() if any(values) and not _is_one_for_all(values)}
    if _is_one_for_all([tag.patient for tag in tags]):
        then = "StudyInstanceUID is used in its place" if "study" in useful else "patients of these files are unknown"
        log.warning(f"{tags[0].origin} is the same in all {len(tags)} files, taken for a placeholder; {then}")
    return set(useful)


def _is_one_for_all(values: list[str]) -> bool:
    return len(values) > 1 and bool(values[0]) and len(set(values)) == 1


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


def _question(origin: str, ids: list[str]) -> None:
    """Warn of ids that cannot tell patients apart, or tell every image apart."""
    different = len(set(ids))
    if len(ids) > 1 and different == 1:
        log.warning(f"patients from {origin}: one id for all {len(ids)} images; is it an id of the patient?")
    elif len(ids) >= _ENOUGH and different > _NEARLY_ALL * len(ids):
        log.warning(
            f"patients from {origin}: {different} ids for {len(ids)} images; is it an id of the patient, not of the "
            "image? Slices of one patient would be on both sides"
        )
