"""Volumes as sources: every slice an image of its own, all slices of a volume on one side, and verify on them."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.records.options import MetadataOptions
from fastmri_cls.records.verify import find_problems
from fastmri_cls.sources.images import read_each, read_image
from fastmri_cls.sources.pixels import RejectedImage
from tests.records.conftest import Build, draw, options, records, shard_bytes, with_table

nibabel = pytest.importorskip("nibabel")

VOLUMES, SLICES = 20, 4


def write_volume(path: Path, number: int, slices: int = SLICES, channels: int = 1) -> Path:
    """A volume of clouds [40, 40, slices] between two empty slices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.zeros((40, 40, slices + 2), np.int16)
    for index in range(slices):
        voxels[:, :, index + 1] = draw(number * 100 + index, 40).astype(np.int16) * 10
    if channels == 3:
        colour = np.zeros(voxels.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
        colour["R"], colour["G"] = voxels // 10, voxels // 40
        voxels = colour
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return path


def write_volumes(root: Path) -> Path:
    for number in range(VOLUMES):
        write_volume(root / ("ill" if number % 2 else "well") / f"sub-{number:02}.nii.gz", number)
    return root


@pytest.mark.parametrize("workers", [1, 2])
def test_slices_of_a_volume_are_in_one_split(tmp_path: Path, build: Build, workers: int) -> None:
    manifest = build([write_volumes(tmp_path / "lab")], workers=workers)
    rows = read_images_csv(tmp_path / "out")
    assert len(rows) == VOLUMES * SLICES
    assert {row.filename for row in rows if "sub-00" in row.filename} == {
        f"well/sub-00.nii.gz/axial-{index:03}" for index in range(1, SLICES + 1)
    }
    for of in ("split", "group"):
        assert len({(row.filename.rpartition("/")[0], getattr(row, of)) for row in rows}) == VOLUMES
    assert manifest.patients is not None
    assert manifest.patients.sentence() == (
        "patients unknown: slices of one patient may be on both sides; slices of one volume are on one side "
        f"({VOLUMES} volumes)"
    )
    assert manifest.notes["slices_left_out"] == {
        "files": VOLUMES, "amount": 2 * VOLUMES, "first": "lab/ill/sub-01.nii.gz/axial-001",
    }  # fmt: skip
    [record] = [r for r in records(tmp_path / "out", "t*") + records(tmp_path / "out", "val")
                if r["image/filename"] == b"well/sub-00.nii.gz/axial-002"]  # fmt: skip
    assert record["image/group"] == next(row.group for row in rows if "sub-00" in row.filename)


def test_the_option_says_which_slices_are_images(tmp_path: Path, build: Build) -> None:
    source = write_volumes(tmp_path / "lab")
    manifest = build([source], options(metadata=MetadataOptions(slices="middle")))
    assert len(read_images_csv(tmp_path / "out")) == VOLUMES
    assert "--slices middle" in manifest.options["command"]
    assert find_problems(tmp_path / "out", manifest) == []
    with pytest.raises(UserError, match="--slices some: is neither"):
        build([source], options(metadata=MetadataOptions(slices="some")), out="other")


def test_a_table_names_volumes_and_joins_those_of_a_patient(tmp_path: Path, build: Build) -> None:
    for number in range(VOLUMES):
        write_volume(tmp_path / "flat" / f"{number}.nii", number)
    rows = [
        {"filename": f"{number}.nii", "label": "xy"[number % 2], "patient": f"PLANTED-{number // 4}-{number % 2}"}
        for number in range(VOLUMES)
    ]
    manifest = build([tmp_path / "flat"], options(metadata=with_table(tmp_path / "t.csv", rows), val_fraction=0.0))
    assert manifest.patients is not None
    assert manifest.patients.sentence() == "10 patients from table"
    assert manifest.duplicates["groups"] == 10


def test_an_archive_of_volumes_builds_what_its_folder_builds(tmp_path: Path, build: Build) -> None:
    source = write_volumes(tmp_path / "lab")
    with zipfile.ZipFile(tmp_path / "lab.zip", "w") as archive:
        for path in sorted(source.rglob("*.gz")):
            archive.write(path, path.relative_to(source))
    build([source], out="one")
    manifest = build([tmp_path / "lab.zip"], out="two")
    assert shard_bytes(tmp_path / "one") == shard_bytes(tmp_path / "two")
    (tmp_path / "lab.zip").touch()
    assert find_problems(tmp_path / "two", manifest) == []


def test_verify_sees_volumes_that_changed(tmp_path: Path, build: Build) -> None:
    source = write_volumes(tmp_path / "lab")
    build([source])
    manifest = read_manifest(tmp_path / "out")
    (source / "well" / "sub-00.nii.gz").touch()
    assert find_problems(tmp_path / "out", manifest) == []
    write_volume(source / "well" / "sub-02.nii.gz", 77)
    (source / "well" / "sub-04.nii.gz").unlink()
    write_volume(source / "well" / "new.nii.gz", 78)
    problems = find_problems(tmp_path / "out", manifest)
    assert [problem.split(";")[0] for problem in problems] == [
        f"source lab: 1 files {what} since the build (the first: well/{name}.nii.gz)"
        for what, name in (("are gone", "sub-04"), ("have changed", "sub-02"), ("are new", "new"))
    ]


def test_a_broken_volume_is_one_rejected_file(tmp_path: Path, build: Build) -> None:
    source = write_volumes(tmp_path / "lab")
    whole = (source / "ill" / "sub-01.nii.gz").read_bytes()
    for name in ("cut", "tail"):
        (source / "ill" / f"{name}.nii.gz").write_bytes(whole[:-40])
    with pytest.raises(UserError, match=r"2 of 22 files cannot be used .*cut.nii.gz"):
        build([source])


def test_colour_found_late_is_read_again_for_every_slice(tmp_path: Path, build: Build) -> None:
    for number in range(VOLUMES):
        label = "ill" if number % 2 else "well"
        write_volume(tmp_path / "lab" / label / f"{number}.nii", number, channels=3 if number % 2 else 1)
    assert build([tmp_path / "lab"]).channels == 3


def test_one_slice_is_read_by_its_path(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "a.nii.gz", 5)
    shown = draw(501, 40)[::-1, ::-1].T.astype(float)
    assert np.abs(read_image(path / "axial-002").pixels - shown).max() <= 3  # the range is the volume's
    two = read_each([path / "axial-003", path / "axial-002"])
    np.testing.assert_array_equal(two[1].pixels, read_image(path / "axial-002").pixels)
    with pytest.raises(RejectedImage, match="no such slice"):
        read_image(path / "axial-099")
    with pytest.raises(RejectedImage, match=r"name a slice, as a\.nii\.gz/axial-000"):
        read_image(path)
