"""Patients: slices of one are never on both sides, whatever names the patient, and no id is written or printed."""

import csv
from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.manifest import Manifest, read_manifest
from fastmri_cls.records.options import BuildOptions, MetadataOptions, SplitOptions
from fastmri_cls.records.patients import Patients, inherit, join_groups
from tests.records.conftest import Build, draw, options, save, shard_bytes, with_table
from tests.records.patient_sets import (
    PATIENTS,
    SLICES,
    label_of,
    patients_in_two_splits,
    write_dicoms,
    write_flat,
    write_mats,
    write_volumes,
)


def assert_no_id(folder: Path, said: str) -> None:
    assert "PLANTED" not in said
    for path in folder.rglob("*"):
        assert not path.is_file() or b"PLANTED" not in path.read_bytes(), path


def described(manifest: Manifest) -> str:
    assert manifest.patients is not None
    return manifest.patients.sentence()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tags", "origin"),
    [
        ({"PatientID": "{0}"}, "PatientID"),
        ({"PatientID": "", "StudyInstanceUID": "1.2.{1}"}, "StudyInstanceUID"),
        ({"PatientID": "{0}", "StudyInstanceUID": "1.2.3"}, "PatientID"),
        ({"PatientID": "ANON", "StudyInstanceUID": "1.2.{1}"}, "StudyInstanceUID"),
    ],
)
def test_slices_of_a_dicom_patient_are_in_one_split(
    tmp_path: Path, build: Build, said: list[str], tags: dict[str, str], origin: str
) -> None:
    manifest = build([write_dicoms(tmp_path / "lab", **tags)])
    assert patients_in_two_splits(tmp_path / "out") == 0
    assert described(manifest) == f"{PATIENTS} patients from {origin}"
    assert manifest.duplicates["groups"] == PATIENTS
    assert_no_id(tmp_path / "out", "\n".join(said))
    assert any("placeholder" in line for line in said) == (tags["PatientID"] == "ANON")


def test_slices_of_a_figshare_patient_are_in_one_split(tmp_path: Path, build: Build, said: list[str]) -> None:
    manifest = build([write_mats(tmp_path / "figshare")])
    assert patients_in_two_splits(tmp_path / "out") == 0
    assert described(manifest) == f"{PATIENTS} patients from PID"
    assert manifest.duplicates["groups"] == PATIENTS
    assert manifest.classes == ("glioma", "meningioma")
    assert_no_id(tmp_path / "out", "\n".join(said))


def test_slices_of_a_volume_are_in_one_split(tmp_path: Path, build: Build, said: list[str]) -> None:
    manifest = build([write_volumes(tmp_path / "nifti")])
    assert patients_in_two_splits(tmp_path / "out") == 0
    assert f"slices of one volume are on one side ({PATIENTS} volumes)" in described(manifest)
    assert manifest.duplicates["groups"] == PATIENTS
    assert_no_id(tmp_path / "out", "\n".join(said))


def test_slices_of_a_patient_in_a_table_of_a_flat_folder_are_in_one_split(
    tmp_path: Path, build: Build, said: list[str]
) -> None:
    rows = write_flat(tmp_path / "flat")
    manifest = build([tmp_path / "flat"], options(metadata=with_table(tmp_path / "table.csv", rows)))
    assert patients_in_two_splits(tmp_path / "out") == 0
    assert described(manifest) == f"{PATIENTS} patients from table"
    assert manifest.classes == ("ill", "well")
    assert_no_id(tmp_path / "out", "\n".join(said))


def test_patients_are_found_in_file_names(tmp_path: Path, build: Build) -> None:
    for number in range(PATIENTS * SLICES):
        patient = number % PATIENTS
        save(tmp_path / "s" / label_of(patient) / f"sub-{patient:02}_{number // PATIENTS}.png", draw(number, 40))
    manifest = build([tmp_path / "s"], options(metadata=MetadataOptions(patient_pattern="(sub-[0-9]+)_")))
    splits: dict[str, set[str]] = {}
    for row in read_images_csv(tmp_path / "out"):
        splits.setdefault(row.filename[:-6], set()).add(row.split)
    assert all(len(names) == 1 for names in splits.values())
    assert described(manifest) == f"{PATIENTS} patients from file names"
    assert f"- {PATIENTS} patients from file names.\n" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_without_ids_the_dataset_says_that_patients_are_unknown(two_classes: Path, build: Build) -> None:
    assert described(build([two_classes])) == "patients unknown: slices of one patient may be on both sides"
    card = (two_classes.parent / "out" / "README.md").read_text(encoding="utf-8")
    assert "- Patients unknown: slices of one patient may be on both sides.\n" in card


def test_a_label_table_builds_as_class_folders_do_byte_for_byte(
    two_classes: Path, build: Build, tmp_path: Path
) -> None:
    rows = [
        {"filename": path.relative_to(two_classes).as_posix(), "label": path.parent.name}
        for path in sorted(two_classes.rglob("*.png"))
    ]
    for method in ("grouped", "published"):
        build([two_classes], options(method=method), out="folders", force=True)
        metadata = with_table(tmp_path / "table.csv", rows)
        build([two_classes], options(method=method, metadata=metadata), out="table", force=True)
        assert shard_bytes(tmp_path / "table") == shard_bytes(tmp_path / "folders")


def test_slices_of_two_classes_of_one_patient_are_no_conflict(tmp_path: Path, build: Build) -> None:
    for number in range(60):
        save(tmp_path / "s" / ("ill" if number % 3 else "well") / f"{number:02}.png", draw(number, 40))
    rows = [
        {"filename": path.relative_to(tmp_path / "s").as_posix(), "patient": str(int(path.stem) // 6)}
        for path in (tmp_path / "s").rglob("*.png")
    ]
    manifest = build([tmp_path / "s"], options(metadata=with_table(tmp_path / "t.csv", rows)))
    assert manifest.duplicates["label_conflicts"] == 0
    assert sum(split.num_examples for split in manifest.splits.values()) == 60


def test_a_published_split_says_how_many_test_images_have_their_patient_in_training(
    two_classes: Path, build: Build, tmp_path: Path
) -> None:
    rows = []
    for path in two_classes.rglob("*.png"):
        split, label, number = path.parts[-3], path.parts[-2], int(path.stem)
        shared = number < 3  # three patients a class are in training and test
        patient = f"{label}{number}" if shared else f"{split}{label}{number}"
        rows.append({"filename": f"{split}/{label}/{path.name}", "patient": patient})
    metadata = with_table(tmp_path / "t.csv", rows)
    manifest = build([two_classes], options(method="published", metadata=metadata))
    assert manifest.patients is not None
    assert manifest.patients.straddling == 6
    found = manifest.patients.tests["one"]
    assert (found.images, found.known, found.in_training) == (10, 10, 6)
    assert "test images of one: 6 of 10 have their patient in training" in manifest.patients.lines()
    assert read_manifest(tmp_path / "out") == manifest
    dropped = build([two_classes], options(method="published", leakage="drop", metadata=metadata), out="dropped")
    assert dropped.patients is not None
    assert dropped.patients.tests["one"].in_training == 0
    assert dropped.duplicates["dropped"] == {"shares a patient with a test image": 6}


def test_groups_of_duplicates_are_joined_by_patients() -> None:
    groups = np.array([0, 1, 0, 3, 4, 3])
    patients = Patients(np.array([-1, 7, 7, -1, 8, 8]), np.full(6, "table", dtype=object))
    np.testing.assert_array_equal(join_groups(groups, patients), [0, 0, 0, 3, 3, 3])
    np.testing.assert_array_equal(join_groups(groups, Patients(np.full(6, -1), patients.origins)), groups)


# --inherit patients


def test_images_inherit_the_patient_of_what_they_duplicate() -> None:
    groups = np.array([0, 0, 2, 2, 2, 5, 6])
    codes = np.array([1, -1, 2, 3, -1, -1, 1])
    patients = Patients(codes, np.array(["table" if code >= 0 else "" for code in codes], dtype=object))
    labels = np.array(["a", "b", "a", "a", "a", "a", "a"])
    columns = (np.array(["o", "k", "o", "o", "k", "k", "o"]), np.array(["", "test", "", "", "train", "train", ""]))
    found, report = inherit(patients, groups, labels, [f"i{n}" for n in range(7)], columns)
    assert found.codes.tolist() == [1, 1, 2, 3, -1, -1, 1]
    assert found.origins[1] == "duplicates"
    assert (report.images, report.without, report.groups_with_two_patients) == (1, 3, 1)
    assert report.by_source == {"k": {"test": {"b": (1, 1)}, "train": {"a": (0, 2)}}}
    assert (report.duplicate_groups, report.patient_groups) == (4, 3)
    assert report.contradictions == [{"image": "i1", "label": "b", "original": "i0", "original_label": "a"}]


def test_a_build_inherits_from_the_originals_in_a_table(two_classes: Path, build: Build, tmp_path: Path) -> None:
    for number in range(12):  # the originals, of three patients; `one` has copies of them, mirrored
        save(tmp_path / "originals" / "a" / f"{number:02d}.png", draw(number)[:, ::-1])
    rows = [{"filename": f"a/{number:02d}.png", "patient": f"PLANTED-{number // 4}"} for number in range(12)]
    with_table(tmp_path / "t.csv", rows)
    metadata = MetadataOptions((f"originals={tmp_path / 't.csv'}",), inherit="patients")
    chosen = BuildOptions(32, metadata=metadata, allow_missing_classes=True, splitting=SplitOptions(test_fraction=0.25))
    manifest = build([two_classes, tmp_path / "originals"], chosen)
    assert manifest.patients is not None
    assert manifest.patients.inherited is not None
    assert manifest.patients.inherited.by_source["one"]["train"]["a"] == (12, 30)
    assert manifest.patients.origins == {"duplicates": 12, "table": 12}
    assert manifest.patients.inherited.patient_groups == 60 - 12 + 3
    splits: dict[int, set[str]] = {}
    for row in read_images_csv(tmp_path / "out"):
        if row.class_name == "a" and row.filename.startswith(("a/", "Training")) and int(row.filename[-6:-4]) < 12:
            splits.setdefault(int(row.filename[-6:-4]) // 4, set()).add(row.split)
    assert all(len(names) == 1 for names in splits.values())
    assert_no_id(tmp_path / "out", "")
    assert read_manifest(tmp_path / "out") == manifest


def test_an_audit_writes_inherited_ids_of_a_table_on_request_only(two_classes: Path, tmp_path: Path) -> None:
    from fastmri_cls.auditing.run import audit
    from fastmri_cls.sources.classes import ClassNames

    for number in range(12):
        save(tmp_path / "originals" / "a" / f"{number:02d}.png", draw(number)[:, ::-1])
    rows = [{"filename": f"a/{number:02d}.png", "patient": f"PLANTED-{number // 4}"} for number in range(12)]
    with_table(tmp_path / "t.csv", rows)
    metadata = MetadataOptions((f"originals={tmp_path / 't.csv'}",), inherit="patients")
    sources = [str(two_classes), str(tmp_path / "originals")]
    written = tmp_path / "patients.csv"
    findings = audit(sources, ClassNames(), tmp_path / "audit", 1, metadata, write_patients=written)
    assert findings["patients"]["inherited"]["images"] == 12
    assert_no_id(tmp_path / "audit", str(findings))
    page = (tmp_path / "audit" / "audit.html").read_text(encoding="utf-8")
    assert "12 of 60 images without a patient got that of an image they duplicate" in page
    assert "No group of duplicates holds two patients" in page
    assert "12 of 30" in page
    assert findings["patients"]["straddling"] == 0  # the originals are in no split
    with written.open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [
            {"source": "one", "filename": f"Training/a/{number:02d}.png", "patient": f"PLANTED-{number // 4}"}
            for number in range(12)
        ]
