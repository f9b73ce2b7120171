"""The part of an audit about patients: counts for audit.json, and on request a table of inherited ids."""

import csv
from pathlib import Path

import numpy as np

from fastmri_cls.auditing.collection import Collection
from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.records.options import MetadataOptions
from fastmri_cls.records.patient_counts import Inheritance, PatientCounts
from fastmri_cls.records.patients import INHERITED, Patients, count_patients, inherit


def check_patients_file(path: Path, out: Path, metadata: MetadataOptions) -> None:
    """Refuse a --write-patients that would get no ids, replace a table, or not outlive the audit.

    Args:
        path: the file to write.
        out: the folder of the audit.
        metadata: tables and patients.

    Raises:
        UserError: see above.
    """
    if not (metadata.inherit and metadata.table):
        raise UserError("--write-patients: needs --inherit patients and a --table with patients")
    target = path.resolve()
    if target.is_dir():
        raise UserError(f"--write-patients {path}: is a folder; give a file")
    if target.is_relative_to(out.resolve()):
        raise UserError(f"--write-patients {path}: lies in --out {out}, which is made anew; choose a file beside it")
    given = [file for table in metadata.table for file in (table, table.partition("=")[2]) if file]
    if target in [Path(file).expanduser().resolve() for file in given]:
        raise UserError(f"--write-patients {path}: is a --table and would be replaced; choose another file")


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
    inherited = np.flatnonzero(patients.origins == INHERITED).tolist()
    written = [index for index in inherited if int(patients.codes[index]) in public]
    with new_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("source", "filename", "patient"))
        for index in written:
            patient = public[int(patients.codes[index])]
            writer.writerow((images.columns.sources[index], images.paths[index], patient))
    log.info(f"inherited patients: {path} ({len(written)} images)")
