"""docs/reference/inputs.md is true: a file of each row is read as it says, and every source brings its labels so."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Source
from fastmri_cls.sources.formats import FORMATS
from fastmri_cls.sources.images import read_images
from fastmri_cls.sources.scan import scan
from fastmri_cls.sources.tables import read_tables
from tests.fuzz.image_targets import dicom
from tests.sources.mat_files import mat

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "inputs.md"
GREY = np.add.outer(np.arange(16) * 9, np.arange(20) * 5).astype(np.uint8)


def table(number: int) -> list[list[str]]:
    """The rows of table number `number` of the page, without its header."""
    tables = re.findall(r"(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in tables[number].splitlines()[2:]]


def content(name: str) -> bytes:
    """A small file of a format, of one grey image or a volume of 4 slices."""
    if name == "DICOM":
        return dicom(GREY)
    if name == "MATLAB":
        return mat(GREY.astype(np.int16))
    if name == "NIfTI":
        import nibabel

        return nibabel.Nifti1Image(np.stack([GREY] * 4, axis=-1), np.eye(4)).to_bytes()
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, name)
    return buffer.getvalue()


@pytest.mark.parametrize("row", table(0), ids=lambda row: row[0])
def test_a_file_of_each_format_is_read_as_the_page_says(tmp_path: Path, row: list[str]) -> None:
    name = row[0].split(" ")[0]
    for suffix in re.findall(r"`(\.[a-z0-9.]+)`", row[1]):
        written = content(name)
        if suffix.endswith(".gz"):
            import gzip

            written = gzip.compress(written)
        (tmp_path / f"a{suffix}").write_bytes(written)
        images = list(read_images(tmp_path / f"a{suffix}"))
        assert len(images) == (4 if row[2].startswith("several") else int(row[2].split()[0]))
        assert {image.facts.format for _, image in images} == {name}
        for _, image in images:
            assert image.pixels.dtype == np.uint8
            low, high = int(image.pixels.min()), int(image.pixels.max())
            full = row[3].startswith("smallest") or name == "DICOM"
            assert (low == 0 and high == 255) if full else high <= int(GREY.max()) + 3


def test_the_page_lists_every_format() -> None:
    assert {row[0].split(" ")[0] for row in table(0)} == {*FORMATS, "DICOM", "MATLAB", "NIfTI"}


def class_folders(root: Path) -> list[str]:
    for path in ("train/cat/1.png", "test/dog/2.png"):
        write(root / path, content("PNG"))
    return []


def with_table(root: Path) -> list[str]:
    for path in ("1.png", "test/2.png"):
        write(root / path, content("PNG"))
    write(root.parent / "labels.csv", b"filename,label\n1.png,cat\ntest/2.png,dog\n")
    return [str(root.parent / "labels.csv")]


def roboflow(root: Path) -> list[str]:
    for split in ("train", "valid"):
        write(root / split / "_classes.csv", b"filename, cat, dog\n1.png, 1, 0\n2.png, 0, 1\n")
        for name in ("1.png", "2.png"):
            write(root / split / name, content("PNG"))
    return []


def figshare(root: Path) -> list[str]:
    write(root / "1.mat", mat(GREY.astype(np.int16), 1))
    write(root / "2.mat", mat(GREY.astype(np.int16), 3))
    write(root / "cvind.mat", b"folds")
    return []


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


SOURCES: dict[str, Callable[[Path], list[str]]] = {
    "class folders": class_folders, "any folders": with_table, "`_classes.csv`": roboflow, "figshare's": figshare,
}  # fmt: skip


@pytest.mark.parametrize("row", table(1), ids=lambda row: row[0][:20])
def test_a_source_of_each_kind_brings_its_labels_as_the_page_says(tmp_path: Path, row: list[str]) -> None:
    [make] = [make for beginning, make in SOURCES.items() if row[0].startswith(beginning)]
    source = Source("s", tmp_path / "s")
    found = scan([source], ClassNames(), read_tables(make(source.path), [source]))
    assert f", {row[1]}: " in found.layouts[0]
    assert len({file.label for file in found.files}) == 2


def test_the_page_lists_every_kind_of_source() -> None:
    assert len(table(1)) == len(SOURCES)
