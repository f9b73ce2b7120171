"""Where the ids of patients come from, and which of them are no ids."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.patient_ids import compile_pattern, find_patients
from fastmri_cls.sources.folders import SourceFile
from fastmri_cls.sources.patient_tags import PatientTags


def files(*names: str, patients: dict[int, str] | None = None) -> list[SourceFile]:
    ids = patients or {}
    return [SourceFile("s", Path(name), name, None, "a", ids.get(i, ""), "table") for i, name in enumerate(names)]


def test_the_table_comes_before_dicom_and_dicom_before_file_names() -> None:
    tags = [PatientTags("d1", ""), PatientTags("d2", ""), PatientTags("d2", ""), None, None]
    named = files("p1_0", "p1_1", "p1_2", "p1_3", "x", patients={0: "t1"})
    found = find_patients(named, tags, compile_pattern("(p[0-9])"))
    assert found.origins.tolist() == ["table", "PatientID", "PatientID", "file names", ""]
    assert found.codes[1] == found.codes[2]
    assert len({*found.codes[[0, 1, 3]].tolist()}) == 3
    assert found.codes[4] == -1


def test_a_placeholder_for_all_files_is_no_patient(said: list[str]) -> None:
    found = find_patients(files("a", "b", "c"), [PatientTags("ANON", "1.2")] * 3, None)
    assert not found.known.any()
    assert "PatientID is the same in all 3 files" in said[0]
    assert "ANON" not in said[0]


def test_a_pid_that_all_files_share_leaves_the_ids_of_dicom_files_alone(said: list[str]) -> None:
    tags = [PatientTags("x", origin="PID"), PatientTags("x", origin="PID"), PatientTags("d"), PatientTags("e")]
    found = find_patients(files("a", "b", "c", "d"), tags, None)
    assert found.origins.tolist() == ["", "", "PatientID", "PatientID"]
    assert said == [
        "source s: PID is the same in all 2 files, taken for a placeholder; patients of these files are unknown"
    ]


def test_ids_that_look_like_something_else_are_questioned(said: list[str]) -> None:
    names = [f"f{number}" for number in range(20)]
    find_patients(files(*names, patients={n: f"i{n}" for n in range(20)}), [None] * 20, None)
    find_patients(files(*names, patients=dict.fromkeys(range(20), "one")), [None] * 20, None)
    find_patients(files(*names, patients={n: f"i{n // 4}" for n in range(20)}), [None] * 20, None)
    assert len(said) == 2
    assert "20 ids for 20 images; is it an id of the patient" in said[0]
    assert "one id for all 20 images" in said[1]


def test_ids_are_questioned_source_by_source(said: list[str]) -> None:
    images = [replace(file, patient=f"a{n}", patient_origin="table") for n, file in enumerate(of_sources("A" * 20))]
    images += [
        replace(file, patient=f"b{n // 4}", patient_origin="table") for n, file in enumerate(of_sources("B" * 20))
    ]
    find_patients(images, [None] * 40, None)
    [line] = said
    assert line.startswith("source A: patients from table: 20 ids for 20 images; is it an id of the patient")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "is no regular expression"), ("sub-[0-9]+", "has no group"), ("(nothing)", "matches no file name")],
)
def test_a_wrong_pattern_is_named(pattern: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"--patient-pattern {pattern}") + ".*" + message):
        find_patients(files("a"), [None], compile_pattern(pattern))


def of_sources(names: str) -> list[SourceFile]:
    """One file of each source: of "AAB" two of A and one of B."""
    return [SourceFile(name, Path(str(n)), str(n), None, "a") for n, name in enumerate(names)]


def test_the_placeholder_of_one_source_is_found_beside_the_ids_of_another(said: list[str]) -> None:
    tags = [
        PatientTags("ANON", "1"),
        PatientTags("ANON", "1"),
        PatientTags("ANON", "2"),
        PatientTags("P1"),
        PatientTags("P2"),
    ]
    found = find_patients(of_sources("AAABB"), tags, None)
    assert found.origins.tolist() == ["StudyInstanceUID"] * 3 + ["PatientID"] * 2
    assert found.codes[0] == found.codes[1]
    assert len(set(found.codes.tolist())) == 4
    assert said == [
        "source A: PatientID is the same in all 3 files, taken for a placeholder; StudyInstanceUID is used in its place"
    ]


def test_the_only_patient_of_a_source_keeps_an_id_that_another_source_knows(said: list[str]) -> None:
    tags = [PatientTags("P1", "1"), PatientTags("P1", "2"), PatientTags("P1", "3"), PatientTags("P2", "4")]
    assert find_patients(of_sources("AABB"), tags, None).codes.tolist() == [0, 0, 0, 1]
    assert said == ["source A: patients from PatientID: one id for all 2 images; is it an id of the patient?"]
