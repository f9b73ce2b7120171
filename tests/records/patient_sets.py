"""The same 30 patients of 4 slices in every format that tells patients or volumes, with ids that are looked for."""

import re
from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.records.images_csv import read_images_csv
from tests.fuzz.image_targets import dicom
from tests.records.conftest import draw, save
from tests.sources.mat_files import mat

PATIENTS, SLICES = 30, 4


def patient_id(number: int) -> str:
    return f"PLANTED-{number:03}"


def label_of(number: int) -> str:
    return "ill" if number % 2 else "well"


def write_dicoms(root: Path, **tags: str) -> Path:
    """30 patients of 4 slices as DICOM, class folders; `tags` are added to every file, {0} is the patient's id."""
    for number in range(PATIENTS * SLICES):
        patient = number % PATIENTS
        given = {name: value.format(patient_id(patient), patient) for name, value in tags.items()}
        path = root / label_of(patient) / f"{number:03}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dicom(draw(number, 40).astype(np.uint16) * 10, **given))
    return root


def write_mats(root: Path) -> Path:
    """The same as figshare's .mat files in one folder."""
    root.mkdir()
    for number in range(PATIENTS * SLICES):
        patient = number % PATIENTS
        content = mat(draw(number, 40).astype(np.int16) * 10, 1 + patient % 2, patient_id(patient))
        (root / f"{number:03}.mat").write_bytes(content)
    return root


def write_volumes(root: Path) -> Path:
    """The same as NIfTI: a volume of 4 slices for each patient, whose header has the id wherever text fits."""
    nibabel = pytest.importorskip("nibabel")
    for patient in range(PATIENTS):
        voxels = np.stack([draw(patient + PATIENTS * index, 40) for index in range(SLICES)], axis=-1)
        image = nibabel.Nifti1Image(voxels.astype(np.int16) * 10, np.eye(4))
        for field in ("descrip", "intent_name", "aux_file", "db_name"):
            image.header[field] = patient_id(patient)
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", patient_id(patient).encode()))
        path = root / label_of(patient) / f"{patient:03}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(image, path)
    return root


def write_flat(root: Path) -> list[dict[str, str]]:
    """The same as PNG in one folder; returns the rows of their table."""
    rows = []
    for number in range(PATIENTS * SLICES):
        save(root / f"{number:03}.png", draw(number, 40))
        patient = number % PATIENTS
        rows.append({"filename": f"{number:03}.png", "label": label_of(patient), "patient": patient_id(patient)})
    return rows


def patients_in_two_splits(out: Path) -> int:
    splits: dict[int, set[str]] = {}
    for row in read_images_csv(out):
        number = re.search(r"(\d+)\.[a-z]+", row.filename)
        assert number is not None
        splits.setdefault(int(number.group(1)) % PATIENTS, set()).add(row.split)
    assert len(splits) == PATIENTS
    return sum(len(names) > 1 for names in splits.values())
