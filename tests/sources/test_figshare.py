"""figshare's .mat files: upright 8-bit slices, their class; what is broken or points elsewhere is refused."""

import io
from pathlib import Path

import h5py
import numpy as np
import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.decode import decode_file
from fastmri_cls.sources.folders import Source
from fastmri_cls.sources.patient_tags import read_patient_tags
from fastmri_cls.sources.pixels import RejectedImage
from fastmri_cls.sources.scan import scan
from tests.records.conftest import draw
from tests.sources.mat_files import LABELS, folds_file, mat, with_block

VALUES = (np.add.outer(np.arange(40) * 30, np.arange(24) * 7) + 100).astype(np.int16)
SHOWN = np.rint((VALUES - 100.0) * (255 / (VALUES.max() - 100)))


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def rejection(path: Path, content: bytes) -> str:
    with pytest.raises(RejectedImage) as rejected:
        decode_file(write(path, content))
    return str(rejected.value)


@pytest.mark.parametrize("storage", [{}, {"shuffle": True}, {"compression": None, "chunks": None}])
def test_a_slice_is_upright_and_uses_all_levels(tmp_path: Path, storage: dict[str, object]) -> None:
    image = decode_file(write(tmp_path / "1.mat", mat(VALUES, **storage)))
    np.testing.assert_array_equal(image.pixels, SHOWN)
    facts = image.facts
    assert (facts.format, facts.mode, facts.width, facts.height) == ("MATLAB", "int16", 24, 40)


def test_a_slice_shows_what_the_published_jpeg_shows(tmp_path: Path, real_data: Path) -> None:
    from PIL import Image

    for path in sorted((real_data / "figshare").glob("*/*.jpg"))[::1000]:
        pixels = np.asarray(Image.open(path)).astype(np.int16)
        image = decode_file(write(tmp_path / "1.mat", mat(pixels * 9 + 3)))  # as the scanner's values may be
        low, high = int(pixels.min()), int(pixels.max())
        np.testing.assert_array_equal(image.pixels, np.rint((pixels - low) * (255 / (high - low))))


def test_the_patient_is_read_from_the_file_and_not_shown(tmp_path: Path) -> None:
    tags = read_patient_tags(write(tmp_path / "1.mat", mat(VALUES, patient="MR024780B")), "MATLAB")
    assert tags is not None
    assert (tags.patient, tags.origin) == ("MR024780B", "PID")
    assert "MR0" not in repr(tags)
    for absent in (None, ""):
        assert read_patient_tags(write(tmp_path / "1.mat", mat(VALUES, patient=absent)), "MATLAB").patient == ""


def source_of(folder: Path) -> Source:
    for number, (name, label) in enumerate(LABELS.items()):
        write(folder / f"{name}-{number}.mat", mat(VALUES + number, label))
    return Source("figshare", folder)


def test_a_folder_of_slices_has_the_classes_that_the_files_name(tmp_path: Path) -> None:
    source = source_of(tmp_path / "a" / "all in one")
    write(source.path / "cvind.mat", b"folds")
    write(source.path / "README.txt", b"about")
    write(source.path / "broken.mat", b"no HDF5")
    found = scan([source], ClassNames())
    assert {file.filename: file.label for file in found.files} == {
        "broken.mat": "", **{f"{name}-{number}.mat": name for number, name in enumerate(LABELS)},
    }  # fmt: skip
    assert found.layouts == [
        "source figshare: 4 images, labels from the .mat files: glioma, meningioma, pituitary; split: none 4"
    ]
    assert sorted(entry.first for entry in found.passed_over) == ["README.txt", "cvind.mat"]
    assert any("published folds" in entry.reason for entry in found.passed_over)


def test_a_class_that_is_not_in_the_classes_file_is_refused(tmp_path: Path) -> None:
    from fastmri_cls.sources.classes import read_classes

    (tmp_path / "classes.txt").write_text("glioma\nmeningioma\n")
    with pytest.raises(UserError, match="class 'pituitary' is not in the --classes file"):
        scan([source_of(tmp_path / "s")], read_classes(tmp_path / "classes.txt"))


def test_published_folds_are_used_for_the_published_split_alone(tmp_path: Path) -> None:
    patients = range(12)
    for number in range(48):
        label = 1 + number % 12 % 3
        write(tmp_path / "s" / f"{number + 1}.mat", mat(draw(number, 40).astype(np.int16), label, f"p{number % 12}"))
    folds = [1 + number % 12 // 3 for number in range(48)]  # four folds, whole patients
    write(tmp_path / "s" / "cvind.mat", folds_file(folds))

    def build(name: str, **splitting: object) -> dict[str, int]:
        options = BuildOptions(image_size=32, splitting=SplitOptions(**splitting))
        manifest = build_dataset([Source("s", tmp_path / "s")], ClassNames(), options, tmp_path / name, 1)
        assert manifest.passed_over == []
        assert manifest.patients is not None
        assert (manifest.patients.patients, manifest.patients.straddling) == (len(patients), 0)
        return {split: content.num_examples for split, content in manifest.splits.items()}

    assert build("published", method="published", folds=4) == {f"fold-{fold}": 12 for fold in range(4)}
    for row in read_images_csv(tmp_path / "published"):
        assert row.split == f"fold-{folds[int(Path(row.filename).stem) - 1] - 1}"
    assert "test.s" in build("grouped", test_fraction=0.25, val_fraction=0.0)
    with pytest.raises(UserError, match="the sources publish 4 folds; give that number"):
        build("other", method="published", folds=5)


def test_folds_that_do_not_cover_the_slices_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "s" / "1.mat", mat(VALUES))
    write(tmp_path / "s" / "3.mat", mat(VALUES, 1))
    write(tmp_path / "s" / "cvind.mat", folds_file([1, 2]))
    [entry] = scan([Source("s", tmp_path / "s")], ClassNames()).passed_over
    assert (entry.first, "published folds" in entry.reason) == ("cvind.mat", True)


def edited(**changes: object) -> bytes:
    """A slice after `changes` to cjdata."""
    buffer = io.BytesIO(mat(VALUES))
    with h5py.File(buffer, "r+") as file:
        for name, value in changes.items():
            del file["cjdata"][name]
            if value is not None:
                file["cjdata"][name] = value
    return with_block(buffer.getvalue())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"text", "broken MATLAB file"),
        (mat(VALUES)[:-300], "broken MATLAB file"),
        (mat(VALUES)[:900], "broken MATLAB file"),
        (b"MATLAB 5.0 MAT-file".ljust(2000), "version before 7.3"),
        (mat(VALUES, label=4), "label is none of 1, 2, 3"),
        (mat(VALUES, label=np.nan), "broken MATLAB file"),
        (edited(label=None), "without cjdata.label"),
        (edited(image=None), "without cjdata.image"),
        (edited(image=h5py.ExternalLink("/etc/passwd", "/")), "without cjdata.image"),
        (edited(image=h5py.SoftLink("/cjdata/PID")), "without cjdata.image"),
        (edited(image=np.zeros(7)), "has 1 dimensions"),
        (edited(image=np.zeros((1, 1), "S9")), "no numbers of its own"),
    ],
)
def test_what_is_no_slice_is_refused_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    assert reason in rejection(tmp_path / "1.mat", content)


def test_an_image_in_another_file_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO(mat(VALUES))
    with h5py.File(buffer, "r+") as file:
        del file["cjdata/image"]
        file["cjdata"].create_dataset("image", (8, 8), "u1", external=[("/etc/passwd", 0, 64)])
    assert "no numbers of its own" in rejection(tmp_path / "1.mat", with_block(buffer.getvalue()))


def test_sizes_that_a_file_only_claims_are_refused(tmp_path: Path) -> None:
    def claiming(shape: tuple[int, int], chunks: tuple[int, int]) -> bytes:
        buffer = io.BytesIO(mat(VALUES))
        with h5py.File(buffer, "r+") as file:
            del file["cjdata/image"]
            file["cjdata"].create_dataset(
                "image", shape, "i2", chunks=chunks, compression="gzip", maxshape=(None, None)
            )
        return with_block(buffer.getvalue())

    assert "too large" in rejection(tmp_path / "1.mat", claiming((100_000, 100_000), (64, 64)))
    assert "too large" in rejection(tmp_path / "2.mat", claiming((8, 8), (30_000, 30_000)))


def test_a_chunk_that_inflates_beyond_its_size_is_refused(tmp_path: Path) -> None:
    import zlib

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512) as file:
        image = file.create_dataset("cjdata/image", (8, 8), "i2", chunks=(8, 8), compression="gzip")
        image.id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 20)))
        file["cjdata/label"] = np.array([[1.0]])
    assert "larger than it may be" in rejection(tmp_path / "1.mat", with_block(buffer.getvalue()))
