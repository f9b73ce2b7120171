"""The part of an audit about patients: counts for audit.json, and on request a table of inherited ids."""

import csv
from pathlib import Path

import numpy as np

from fastmri_cls.auditing.collection import Collection
from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.records.patient_counts import Inheritance, PatientCounts
from fastmri_cls.records.patients import INHERITED, Patients, count_patients, inherit


def inherit_patients(images: Collection, copies: np.ndarray) -> tuple[Patients, Inheritance]:
    """Give images without a patient that of the image they duplicate; `copies` int [n] are groups of duplicates."""
    known = images.columns
    names = [f"{source}/{path}" for source, path in zip(known.sources.tolist(), images.paths, strict=True)]
    return inherit(images.patients, copies, known.labels, names, (known.sources, known.splits))


def describe_patients(images: Collection, patients: Patients, inherited: Inheritance | None) -> PatientCounts:
    """Return what is known of patients. In training are images of the sources that name their test images.

    An image of a source without splits is in no split, so it puts no patient in two.
    """
    if images.patient_counts:
        return images.patient_counts
    known = images.columns
    test = ~known.training
    training = known.training & np.isin(known.sources, known.sources[test])
    return count_patients(patients, known.splits, known.sources, images.volumes, test, training, inherited)


def write_patients_csv(path: Path, images: Collection, patients: Patients) -> None:
    """Write source, filename and patient of the images that inherited a patient from an image of a table.

    Ids from DICOM files or file names are never written.
    """
    public = {
        int(code): patient for code, patient in zip(patients.codes.tolist(), images.table_ids, strict=True) if patient
    }
    with new_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("source", "filename", "patient"))
        for index in np.flatnonzero(patients.origins == INHERITED).tolist():
            if patient := public.get(int(patients.codes[index])):
                writer.writerow((images.columns.sources[index], images.paths[index], patient))
