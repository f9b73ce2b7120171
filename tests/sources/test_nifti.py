"""Volumes come out as upright axial slices in one range, however stored; bombs and damage are refused."""

import gzip
import struct
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.decode import Decoded
from fastmri_cls.sources.nifti import is_nifti, parse_selection, read_slices
from fastmri_cls.sources.pixels import RejectedImage

nibabel = pytest.importorskip("nibabel")

# [right, front, up] = [12, 14, 10]: a head between slices 2 and 7, every axis with a direction of its own.
HEAD = np.zeros((12, 14, 10), np.int16)
HEAD[2:10, 2:12, 2:8] = np.add.outer(np.add.outer(np.arange(8) * 100, np.arange(10) * 30), np.arange(6) * 7) + 400


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None, **header: object) -> Path:
    image = nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def slices(path: Path, selection: str | int = "content") -> dict[str, Decoded]:
    return dict(read_slices(path, selection))


def notes(found: dict[str, Decoded]) -> list[tuple[str, int]]:
    return [(note.kind.value, note.amount) for image in found.values() for note in image.notes]


def expected(index: int) -> np.ndarray:
    """What is shown of HEAD: rows from the front backwards, columns from the right to the left."""
    return np.rint(HEAD[::-1, ::-1, index].T * (255 / HEAD.max()))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_slices_with_content_are_taken_front_up_and_right_on_the_left(tmp_path: Path, name: str) -> None:
    found = slices(save(tmp_path / name, HEAD))
    assert list(found) == [f"axial-{index:03}" for index in range(2, 8)]
    for index in range(2, 8):
        np.testing.assert_array_equal(found[f"axial-{index:03}"].pixels, expected(index))
    facts = found["axial-002"].facts
    assert (facts.format, facts.mode, facts.width, facts.height) == ("NIfTI", "int16", 12, 14)
    assert notes(found) == [("slices_left_out", 4)]


@pytest.mark.parametrize("order", permutations(range(3)))
@pytest.mark.parametrize("signs", product((1, -1), repeat=3))
def test_every_orientation_of_storage_gives_the_same_slices(
    tmp_path: Path, order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    stored = HEAD.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    affine = np.zeros((4, 4))
    affine[order, range(3)], affine[3, 3] = np.array(signs) * 1.3, 1
    found = slices(save(tmp_path / "a.nii", stored, affine))
    np.testing.assert_array_equal(found["axial-003"].pixels, expected(3))


def test_a_slightly_oblique_volume_is_turned_to_the_nearest_axes(tmp_path: Path) -> None:
    angle = np.deg2rad(12)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    np.testing.assert_array_equal(slices(save(tmp_path / "a.nii", HEAD, affine))["axial-003"].pixels, expected(3))


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        ("all", list(range(10))),
        ("middle", [5]),
        (3, [3, 5, 7]),
        (1, [5]),
        (100, list(range(2, 8))),
        ("content", [2, 3, 4, 5, 6, 7]),
    ],
)
def test_the_selection_says_which_slices_are_taken(tmp_path: Path, selection: str | int, taken: list[int]) -> None:
    found = slices(save(tmp_path / "a.nii", HEAD), selection)
    assert list(found) == [f"axial-{index:03}" for index in taken]
    left_out = [note for note in notes(found) if note[0] == "slices_left_out"]
    assert left_out == ([("slices_left_out", 10 - len(taken))] if len(taken) < 10 else [])


@pytest.mark.parametrize("text", ["", "0", "-3", "some", "1.5", "²"])
def test_a_selection_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is neither content, middle, all nor a number"):
        parse_selection(text)
    assert (parse_selection("all"), parse_selection("12")) == ("all", 12)


@pytest.mark.parametrize("slope", [1.0, 0.01, -2.0])
def test_slope_and_intercept_do_not_change_what_is_dark_and_what_is_bright(tmp_path: Path, slope: float) -> None:
    path = save(tmp_path / "a.nii", HEAD)
    content = bytearray(path.read_bytes())
    struct.pack_into("<ff", content, 112, slope, 7)  # scl_slope, scl_inter
    path.write_bytes(content)
    assert nibabel.load(path).get_fdata()[5, 5, 5] == pytest.approx(HEAD[5, 5, 5] * slope + 7)
    found = slices(path, "all")
    shown = expected(3) if slope > 0 else 255 - expected(3)
    assert np.abs(found["axial-003"].pixels - shown).max() <= 1


def test_a_hot_voxel_does_not_decide_the_range_of_the_volume(tmp_path: Path) -> None:
    hot = HEAD.copy()
    hot[5, 5, 5] = 32767
    found = slices(save(tmp_path / "a.nii", hot))
    np.testing.assert_array_equal(found["axial-003"].pixels, expected(3))
    assert ("outliers_clipped", 1) in notes(found)


def test_what_is_not_finite_is_black(tmp_path: Path) -> None:
    values = HEAD.astype(np.float32)
    values[4, 5, 3] = np.nan
    shown = expected(3)
    shown[14 - 1 - 5, 12 - 1 - 4] = 0
    np.testing.assert_array_equal(slices(save(tmp_path / "a.nii", values))["axial-003"].pixels, shown)


def test_of_several_times_the_middle_one_is_taken(tmp_path: Path) -> None:
    found = slices(save(tmp_path / "a.nii", np.stack([HEAD * 0, HEAD, HEAD[::-1]], axis=-1)))
    np.testing.assert_array_equal(found["axial-003"].pixels, expected(3))
    assert ("pages_left_out", 2) in notes(found)


def test_colour_is_kept_where_three_channels_are_wanted(tmp_path: Path) -> None:
    rgb = np.zeros(HEAD.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["R"], rgb["G"] = HEAD // 8, HEAD // 16
    pixels = dict(read_slices(save(tmp_path / "a.nii", rgb), keep_colour=True))["axial-003"].pixels
    assert pixels.shape == (14, 12, 3)
    np.testing.assert_array_equal(pixels[..., 0], np.rint(rgb["R"][::-1, ::-1, 3].T * (255 / rgb["R"].max())))
    assert pixels[..., 2].max() == 0


def test_a_volume_without_an_orientation_is_taken_as_stored_and_noted(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", HEAD, sform_code=0, qform_code=0)
    content = bytearray(path.read_bytes())
    struct.pack_into("<hh", content, 252, 0, 0)  # qform_code, sform_code
    path.write_bytes(content)
    found = slices(path)
    np.testing.assert_array_equal(found["axial-003"].pixels, expected(3))
    assert ("axes_assumed", 1) in notes(found)


def test_a_blank_volume_is_flat(tmp_path: Path) -> None:
    found = slices(save(tmp_path / "a.nii", HEAD * 0))
    assert len(found) == 10
    assert notes(found) == [("low_contrast", 1)] * 10


def test_a_large_volume_is_refused_by_its_header(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", HEAD)
    content = bytearray(path.read_bytes())
    struct.pack_into("<4h", content, 40, 3, 30000, 30000, 30000)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(RejectedImage, match="too large"):
        slices(tmp_path / "b.nii.gz")


@pytest.mark.parametrize("change", ["cut", "cut gzip", "offset", "type", "two dimensions", "text", "empty"])
def test_damage_is_refused_with_its_reason(tmp_path: Path, change: str) -> None:
    content = bytearray(save(tmp_path / "whole.nii", HEAD).read_bytes())
    path = tmp_path / "a.nii.gz"
    if change == "offset":
        struct.pack_into("<f", content, 108, 1e9)
    elif change == "type":
        struct.pack_into("<h", content, 70, 77)
    elif change == "two dimensions":
        struct.pack_into("<4h", content, 40, 2, 12, 14, 1)
    damaged = {"cut": bytes(content[:900]), "text": b"not a volume", "empty": b""}.get(change, bytes(content))
    path.write_bytes(gzip.compress(bytes(content))[:-90] if change == "cut gzip" else damaged)
    with pytest.raises(RejectedImage) as rejected:
        slices(path)
    assert "\n" not in str(rejected.value)


def test_the_name_tells_a_volume() -> None:
    assert [is_nifti(name) for name in ("a.nii", "A.NII.GZ", "a.gz", "a.png")] == [True, True, False, False]
