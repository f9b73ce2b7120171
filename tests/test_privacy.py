"""What is private stays: the whole chain opens no socket, and no file gets a word of what DICOM says of a patient.

File names are kept (`image/filename`, predictions.csv, audit.csv): they are what the user chose to call things.
"""

import csv
import gzip
import io
import logging
import os
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pydicom = pytest.importorskip("pydicom")

from pydicom.datadict import DicomDictionary  # noqa: E402

from tests.fuzz.image_targets import dicom  # noqa: E402
from tests.records.patient_sets import (  # noqa: E402
    patients_in_two_splits,
    write_dicoms,
    write_flat,
    write_mats,
    write_volumes,
)

pytestmark = pytest.mark.slow

# By value representation: what is planted in every tag of that kind. `PLANTED`, the day and the root are looked for.
PLANTED = {
    "PN": "PLANTED^Anna", "LO": "PLANTED Clinic", "SH": "PLANTED-7", "ST": "PLANTED street", "LT": "PLANTED note",
    "UT": "PLANTED story", "UC": "PLANTED words", "AE": "PLANTED_AE", "CS": "PLANTED_CS", "UR": "http://planted.invalid",
    "DA": "19610723", "DT": "19610723071133", "TM": "071133.4567", "AS": "061Y", "UI": "1.2.826.19610723.7",
}  # fmt: skip
TRACES = re.compile(
    rb"PLANTED|planted\.invalid|1961.?07.?23|23.?07.?1961|07.?23.?1961|071133\.4567|061Y", re.IGNORECASE
)
# What says how pixels are coded; the rest of group 0028 and everything else is planted.
PIXELS = {"PhotometricInterpretation", "SpecificCharacterSet", "SOPClassUID", "PixelPresentation", "VOILUTFunction"}

HOOK = """
import atexit, os, sys

def note(text):
    with open(os.environ["SOCKET_LOG"], "a") as file:
        print(text, file=file)

def hook(event, arguments):
    if event == "socket.getaddrinfo" or (
        event in ("socket.connect", "socket.bind", "socket.sendto")
        and isinstance(arguments[1], tuple)
        and (event, arguments[1]) != ("socket.bind", ("::1", 0))  # urllib3, when imported, tries whether IPv6 is there
    ):
        note(f"{event} {arguments}")
        raise RuntimeError("the network was touched")

def still_open():  # by whatever library, C++ too
    inodes = set()
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        try:
            inodes |= {line.split()[9] for line in open(f"/proc/self/net/{kind}").readlines()[1:]}
        except OSError:
            pass
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            note(f"descriptor {descriptor} is an internet socket")

sys.addaudithook(hook)
atexit.register(still_open)
"""

CHAIN = """
import sys
from fastmri_cls.cli.app import app

def command(line, *paths):
    print("$", line)
    app([*line.split(), *paths], standalone_mode=False)

command("build-tfrecords scans --out data --image-size 32 --workers 2")
command("audit scans --out audit --workers 2")
command("verify data")
command("train --data data --model small-cnn --out run --phase1-epochs 1 --phase2-epochs 1 --batch-size 8")
command("evaluate run --data data --out again")
command("predict run scans --out predictions.csv --gradcam heat")
"""


def planted_dicom(pixels: np.ndarray) -> bytes:
    """Return a DICOM file with something personal in every text tag of the dictionary, a sequence and a private tag."""
    dataset = pydicom.dcmread(io.BytesIO(dicom(pixels)))
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 not in (0x0000, 0x0002) and vr in PLANTED and keyword and keyword not in PIXELS:
            dataset.add_new(tag, vr, PLANTED[vr])
    item = pydicom.Dataset()
    item.PatientID = "PLANTED-8"
    dataset.OtherPatientIDsSequence = [item]
    dataset.private_block(0x0011, "PLANTED maker", create=True).add_new(0x01, "LO", "PLANTED private")
    dataset.SpecificCharacterSet = "ISO_IR 192"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder in which the chain ran on planted scans, what it said, and what it did with sockets."""
    folder = tmp_path_factory.mktemp("private")
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one value serves for all tags of a kind, fitting or not
        for name, level in (("ill", 2000), ("well", 200)):
            (folder / "scans" / name).mkdir(parents=True)
            for number in range(24):
                scan = rng.integers(0, level, (40, 40)).astype(np.uint16)
                scan[8:20, 8 : 12 + number] += 3000
                content = planted_dicom(scan)
                (folder / "scans" / name / f"{number:02}.dcm").write_bytes(content)
    (folder / "scans" / "ill" / "cut.dcm").write_bytes(content[:-1000])
    (folder / "scans" / "ill" / "odd.dcm").write_bytes(
        content.replace(b"\x28\x00\x11\x00US\x02", b"\x28\x00\x11\x00PN\x02")
    )
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(HOOK)
    environment = os.environ | {
        "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{Path(__file__).parents[1]}",
        "SOCKET_LOG": str(folder / "sockets.log"),
        "FASTMRI_CLS_CACHE": str(folder / "cache"),
    }
    result = subprocess.run(
        [sys.executable, "-c", CHAIN],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    log = folder / "sockets.log"
    return folder, result.stdout + result.stderr, log.read_text() if log.exists() else ""


def contents(path: Path) -> list[bytes]:
    """The bytes of a file, of the members of an archive and of the texts of a PNG."""
    found = [path.read_bytes()]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found += [archive.read(name) for name in archive.namelist()]
    if path.suffix == ".png":
        found.append(repr(Image.open(path).info).encode())
    return found


def test_what_is_planted_would_be_found():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = planted_dicom(np.zeros((8, 8), np.uint16))
    assert len(TRACES.findall(content)) > 1500
    assert pydicom.dcmread(io.BytesIO(content)).PatientName == "PLANTED^Anna"


def test_nothing_a_dicom_file_says_of_its_patient_gets_into_any_file(chain):
    folder, said, _ = chain
    assert not TRACES.search(said.encode())
    written = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and "scans" not in path.relative_to(folder).parts
    ]
    names = {path.name for path in written}
    assert {"dataset.json", "audit.csv", "audit.html", "model.keras", "train.log", "predictions.csv"} <= names
    assert any(name.endswith(".tfrecord") for name in names)
    assert any(path.parent.name == "heat" for path in written)
    leaks = {path.name for path in written for content in contents(path) if TRACES.search(content)}
    assert not leaks


def test_files_that_cannot_be_read_are_named_without_a_word_of_what_they_hold(chain):
    folder, _, _ = chain
    dataset = (folder / "data" / "dataset.json").read_text()
    assert "cut.dcm" in dataset
    assert "odd.dcm" in dataset


def dicom_source(folder: Path) -> list[str]:
    return [str(write_dicoms(folder / "dicom", PatientID="{0}", PatientName="{0}"))]


def mat_source(folder: Path) -> list[str]:
    source = write_mats(folder / "mat")
    whole = (source / "000.mat").read_bytes()
    (source / "cut.mat").write_bytes(whole[:-200])
    return [str(source)]


def nifti_source(folder: Path) -> list[str]:
    source = write_volumes(folder / "nifti")
    whole = gzip.decompress((source / "well" / "000.nii.gz").read_bytes())
    (source / "well" / "cut.nii").write_bytes(whole[:2000])
    return [str(source)]


def table_source(folder: Path) -> list[str]:
    rows = write_flat(folder / "flat")
    with (folder / "patients.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([*rows, {"filename": "gone.png", "label": "ill", "patient": "PLANTED-999"}])
    return [str(folder / "flat"), "--table", str(folder / "patients.csv")]


def zip_source(folder: Path) -> list[str]:
    source = write_mats(folder / "mat")
    with zipfile.ZipFile(folder / "mat.zip", "w") as archive:
        for path in source.iterdir():
            archive.write(path, path.name)
    return [str(folder / "mat.zip")]


@pytest.mark.parametrize("make", [dicom_source, mat_source, nifti_source, table_source, zip_source])
def test_no_format_leaves_an_id_in_what_is_written_or_printed_nor_a_patient_in_two_splits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], list[str]]
) -> None:
    from fastmri_cls.cli.app import app

    caplog.set_level(logging.INFO, "fastmri_cls")
    (tmp_path / "sources").mkdir()
    source = make(tmp_path / "sources")
    out = tmp_path / "written"
    out.mkdir()
    said = ""
    for line in (
        ["build-tfrecords", *source, "--out", str(out / "data"), "--image-size", "32", "--workers", "1"],
        ["audit", *source, "--out", str(out / "audit"), "--workers", "1", "--json"],
        ["verify", str(out / "data")],
    ):
        result = CliRunner().invoke(app, line)
        assert result.exit_code == 0, result.output
        said += result.output
    assert "PLANTED" not in said + caplog.text
    assert re.search(r"30 (patients from|volumes)", caplog.text)
    assert patients_in_two_splits(out / "data") == 0
    leaks = {p.name for p in out.rglob("*") if p.is_file() for content in contents(p) if b"PLANTED" in content}
    assert not leaks


def test_the_chain_neither_connects_nor_listens(chain):
    assert chain[2] == ""


def test_the_hook_would_have_seen_it(chain, tmp_path):
    folder, _, _ = chain
    environment = os.environ | {"PYTHONPATH": str(folder / "site"), "SOCKET_LOG": str(tmp_path / "log")}
    code = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0))"
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert "socket.bind" in (tmp_path / "log").read_text()
