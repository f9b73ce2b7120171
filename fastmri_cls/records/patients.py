"""Patients: which images show the same patient, and what is known about that. Ids stay in memory; counts leave.

Where an id comes from is decided in patient_ids.py.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fastmri_cls.records.patient_counts import Inheritance, PatientCounts, PatientOverlap

INHERITED = "duplicates"
UNKNOWN = -1  # the code of an image without a known patient


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
        known: np.ndarray = self.codes != UNKNOWN
        return known


def unknown_patients(n: int) -> Patients:
    """Return the patients of `n` images of which nothing is known."""
    return Patients(np.full(n, UNKNOWN), np.full(n, "", dtype=object))


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
